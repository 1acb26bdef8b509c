import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { claim, execution, executor, organization, report } from '../support/sql.js'
import { fixture, fw, startFw } from './fw.js'

const database = testDatabase()
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n$/

const enqueue = (workflow: string, input: string, organizationId: string, ...options: string[]) =>
  fw(['enqueue', workflow, input, '--organization', organizationId, ...options], { url: database.url })

async function count(): Promise<number> {
  const [row] = await database.query<{ count: number }>('select count(*)::integer as count from public.fw_workflow_executions')
  return row?.count ?? 0
}

describe('fw enqueue', () => {
  it('prints the id of the execution', async () => {
    const acme = await organization(database)
    const { code, stdout } = await enqueue('greet', '{"name": "Ada"}', acme)
    expect(code).toBe(0)
    expect(stdout).toMatch(UUID)
    expect(await execution(database, stdout.trim())).toMatchObject({ workflow_name: 'greet', organization_id: acme, input: { name: 'Ada' }, status: 'queued' })
  })

  it('prints {"id"} with --json', async () => {
    const { stdout } = await enqueue('greet', 'null', await organization(database), '--json')
    const { id, ...others } = JSON.parse(stdout) as { id: string }
    expect(others).toEqual({})
    expect(await execution(database, id)).toMatchObject({ input: null })
  })

  it('refuses an idempotency key that is too long, counted in characters, and enqueues nothing', async () => {
    const acme = await organization(database)
    const before = await count()
    const refused = await enqueue('greet', '{"name": "Ada"}', acme, '--idempotency-key', '\u{1F600}'.repeat(501))
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain('1 to 500 characters, not 501')
    expect(await count()).toBe(before)
    expect((await enqueue('greet', '{"name": "Ada"}', acme, '--idempotency-key', '\u{1F600}'.repeat(500))).code).toBe(0)
  })

  it('keeps every digit of a number', async () => {
    const { stdout } = await enqueue('greet', '{"n": 12345678901234567890.123}', await organization(database))
    expect(await database.query("select input ->> 'n' as n from public.fw_workflow_executions where id = $1", [stdout.trim()])).toEqual([
      { n: '12345678901234567890.123' },
    ])
  })

  it('takes a negative number as the input', async () => {
    const { stdout } = await enqueue('greet', '-1', await organization(database))
    expect(await execution(database, stdout.trim())).toMatchObject({ input: -1 })
  })

  it('does not start it before the delay', async () => {
    const { stdout } = await enqueue('greet', '{}', await organization(database), '--delay', '10m')
    const [message] = await database.query<{ ahead: number }>(
      `select extract(epoch from q.vt - e.created_at)::float8 as ahead
       from public.fw_workflow_executions e join pgmq.q_workflow_execution_queue q using (msg_id) where e.id = $1`,
      [stdout.trim()],
    )
    expect(message?.ahead).toBe(600)
  })

  it('returns the first id for an idempotency key that was used before', async () => {
    const acme = await organization(database)
    const first = await enqueue('greet', '{}', acme, '--idempotency-key', 'order 7')
    const second = await enqueue('greet', '{"other": true}', acme, '--idempotency-key', 'order 7')
    expect(second.stdout).toBe(first.stdout)
    expect(await execution(database, first.stdout.trim())).toMatchObject({ input: {} })
  })

  it.each([
    ['{"name":"Ada" x}', 'unexpected "x" at position 14'],
    ["{'name':'Ada'}", 'unexpected "\'" at position 1'],
    ['{"name":', 'it ends too early, at position 8'],
    ['', 'it ends too early, at position 0'],
  ])('refuses %j, pointing at the place', async (input, problem) => {
    const before = await count()
    const { code, stdout, stderr } = await enqueue('greet', input, randomUUID())
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(`the input is not JSON: ${problem}`)
    expect(await count()).toBe(before)
  })

  it('refuses JSON that Postgres cannot store', async () => {
    const { code, stderr } = await enqueue('greet', '"\\u0000"', randomUUID())
    expect(code).toBe(2)
    expect(stderr).toContain('\\u0000')
  })

  it('warns that it waits for a disabled organization, and how to enable it', async () => {
    const acme = randomUUID()
    const { code, stdout, stderr } = await enqueue('greet', '{}', acme)
    expect(code).toBe(0)
    expect(stdout).toMatch(UUID)
    expect(stderr).toMatch(new RegExp(`^warning: .*disabled.*fw enable ${acme}$`, 'm'))
  })

  it('warns that no executor runs the workflow', async () => {
    const { stderr } = await enqueue('nobody-runs-this', '{}', await organization(database))
    expect(stderr).toMatch(/^warning: no live executor runs workflow nobody-runs-this/m)
    expect(stderr).not.toContain('disabled')
  })

  it('warns that all slots are taken, and that the worker is paused', async () => {
    const acme = await organization(database, { batchSize: 1, concurrency: 1 })
    const x = await executor(database, 'full')
    await enqueue('full', '{}', acme)
    const [held] = await claim(database, x)
    if (held === undefined) throw new Error('nothing was claimed')
    await database.query("select public.fw_pause('an upgrade')")
    const { code, stderr } = await enqueue('full', '{}', acme)
    await database.query('select public.fw_resume()')
    expect(code).toBe(0)
    expect(stderr).toContain(`warning: all places of organization ${acme} are taken: 1 executions are in flight, and 1 slots of 1 may be; `)
    expect(stderr).toMatch(/^warning: the worker as a whole is paused; select fw_resume\(\) goes on/m)
    await report(database, x, [held])
  })
})

describe('fw enqueue --wait', () => {
  it('prints the result of an execution, its failure, and nothing but JSON', async () => {
    const acme = await organization(database)
    const running = startFw(['run', fixture('workflows.js')], { url: database.url })
    await running.untilWritten('stderr', '"ready"')

    const plain = await enqueue('greet', '{"name":"Ada"}', acme, '--wait')
    expect(plain).toMatchObject({ code: 0, stdout: '"Hello, Ada"\n' })
    expect(plain.stderr).toMatch(/^enqueued [0-9a-f-]{36}\n$/)

    const json = await enqueue('greet', '{"name":"Ada"}', acme, '--wait', '50s', '--json')
    expect(JSON.parse(json.stdout)).toEqual({ id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string, status: 'completed', output: 'Hello, Ada' })

    const failed = await enqueue('refuse', '{}', acme, '--wait')
    expect(failed).toMatchObject({ code: 1, stdout: '' })
    expect(failed.stderr).toMatch(/^error: execution .* is failed: it is refused$/m)

    const failedJson = await enqueue('refuse', '{}', acme, '--wait', '--json')
    expect(failedJson.code).toBe(1)
    expect(JSON.parse(failedJson.stdout)).toMatchObject({ status: 'failed', error: expect.stringContaining('it is refused') as string, errorCategory: 'RUNTIME' })

    running.kill('SIGTERM')
    expect((await running.finished).code).toBe(0)
  })

  it('fails when the execution has not finished in time, which goes on', async () => {
    const { code, stdout, stderr } = await enqueue('greet', '{}', randomUUID(), '--wait', '100ms')
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('still queued')
  })
})
