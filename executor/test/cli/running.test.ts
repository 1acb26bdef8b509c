import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, vi } from 'vitest'
import { createDatabase, testDatabase } from '../support/database.js'
import { execution, makeVisible, organization } from '../support/sql.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { fixture, fw, type FwOptions, startFw, type Started } from './fw.js'

const database = testDatabase()
const PACKAGE = fileURLToPath(new URL('../../../', import.meta.url))

async function running(module: string, args: readonly string[] = [], options: FwOptions = {}): Promise<Started> {
  const started = startFw(['run', module, ...args], { url: database.url, ...options })
  await started.untilWritten('stderr', '"msg":"ready"')
  return started
}

const enqueue = async (workflow: string, input: unknown, organizationId: string): Promise<string> => {
  const [row] = await database.query<{ id: string }>('select public.fw_enqueue($1, $2, $3) as id', [workflow, JSON.stringify(input), organizationId])
  return row?.id ?? ''
}

async function untilStatus(id: string, status: string): Promise<void> {
  await vi.waitFor(async () => expect(await execution(database, id)).toMatchObject({ status }), { timeout: 30_000, interval: 20 })
}

/** A project of a user's, outside this package, that has it installed. */
async function project(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await temporaryFolder()
  await mkdir(join(folder, 'node_modules'))
  await symlink(PACKAGE, join(folder, 'node_modules', 'durable-execution-worker'))
  await symlink(join(PACKAGE, 'node_modules', 'zod'), join(folder, 'node_modules', 'zod'))
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  return folder
}

describe('fw run', () => {
  it('runs every workflow that the module exports, alone, in an array or in an object', async () => {
    const acme = await organization(database)
    const started = await running(fixture('workflows.js'))
    const ids = [await enqueue('greet', { name: 'Ada' }, acme), await enqueue('refuse', {}, acme), await enqueue('slow', { ms: 1 }, acme)]
    await untilStatus(ids[0] ?? '', 'completed')
    await untilStatus(ids[1] ?? '', 'failed')
    await untilStatus(ids[2] ?? '', 'completed')
    started.kill('SIGTERM')
    const { code, stdout } = await started.finished
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
  })

  it('logs JSON lines, and in one of them what is ready and how to enqueue, without the password', async () => {
    const started = await running(fixture('workflows.js'))
    started.kill('SIGTERM')
    const { stderr } = await started.finished
    const lines = stderr.trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
    const { host, pathname, password } = new URL(database.url)
    expect(lines).toContainEqual(
      expect.objectContaining({
        msg: 'ready',
        workflows: ['greet', 'slow', 'refuse'],
        database: `postgres@${host}${pathname}`,
        enqueue: expect.stringMatching(/^fw enqueue greet '\{"name":"text"\}' --organization [0-9a-f-]{36} --wait$/) as string,
      }),
    )
    expect(password).not.toBe('')
    expect(stderr).not.toContain(password)
  })

  it('runs TypeScript', async () => {
    const acme = await organization(database)
    const started = await running(fixture('workflows.ts'))
    const id = await enqueue('greet-in-typescript', { name: 'Ada' }, acme)
    await untilStatus(id, 'completed')
    expect(await execution(database, id)).toMatchObject({ output: 'Good day, Ada' })
    started.kill('SIGTERM')
    expect((await started.finished).code).toBe(0)
  })

  it.each(['module', 'commonjs'])("runs a user's TypeScript project of type %s, with a path relative to the working folder", async (type) => {
    const name = `greet-${type}`
    const cwd = await project({
      'package.json': JSON.stringify({ type }),
      'workflows.ts': `import { PermanentError, workflow, type Workflow } from 'durable-execution-worker'
        import { z } from 'zod'
        export const greet: Workflow<{ name: string }, string> = workflow({ name: '${name}', input: z.object({ name: z.string() }) }, (_ctx, { name }) => {
          if (name === '') throw new PermanentError('no name')
          return 'Hello, ' + name
        })`,
    })
    const acme = await organization(database)
    const started = await running('workflows.ts', [], { cwd })
    const id = await enqueue(name, { name: 'Ada' }, acme)
    const refused = await enqueue(name, { name: '' }, acme)
    await untilStatus(id, 'completed')
    // The module's PermanentError is the executor's: no second attempt.
    await untilStatus(refused, 'failed')
    started.kill('SIGTERM')
    expect((await started.finished).code).toBe(0)
  })

  it('migrates first with --migrate', async () => {
    const other = await createDatabase()
    try {
      await other.query('drop function public.fw_status()')
      const started = await running(fixture('workflows.js'), ['--migrate'], { url: other.url })
      expect(await other.query('select count(*)::integer as count from public.fw_status()')).toEqual([{ count: 0 }])
      started.kill('SIGTERM')
      expect((await started.finished).code).toBe(0)
    } finally {
      await other.drop()
    }
  })

  it('keeps to --concurrency', async () => {
    const acme = await organization(database)
    const started = await running(fixture('workflows.js'), ['--concurrency', '1', '--poll', '50ms'])
    const ids = [await enqueue('slow', { ms: 60_000 }, acme), await enqueue('slow', { ms: 60_000 }, acme)]
    await untilStatus(ids[0] ?? '', 'running')
    await sleep(500)
    expect(await execution(database, ids[1] ?? '')).toMatchObject({ status: 'queued' })
    await fw(['disable', acme], { url: database.url })
    started.kill('SIGKILL')
    await started.finished
  })
})

describe('fw run, told to stop', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('by %s finishes what runs, takes nothing new, and leaves no connection', async (signal) => {
    const acme = await organization(database)
    const started = await running(fixture('workflows.js'))
    const id = await enqueue('slow', { ms: 1500 }, acme)
    await untilStatus(id, 'running')
    started.kill(signal)
    await started.untilWritten('stderr', 'stopping: 1 execution in flight')
    const later = await enqueue('slow', { ms: 1 }, acme)
    expect((await started.finished).code).toBe(0)
    expect(await execution(database, id)).toMatchObject({ status: 'completed', output: 'waited', retry_count: 0 })
    expect(await execution(database, later)).toMatchObject({ status: 'queued', retry_count: 0 })
    await vi.waitFor(async () => {
      const left = await database.query("select 1 from pg_stat_activity where datname = current_database() and application_name like 'fw %'")
      expect(left).toEqual([])
    })
    expect(await database.query("select stopped_at is not null as stopped from public.fw_executors where name like '%:' || $1", [started.pid])).toEqual([
      { stopped: true },
    ])
    await fw(['disable', acme], { url: database.url })
  })

  it('hands back what does not finish in time, at no attempt, and the next one runs it', async () => {
    const acme = await organization(database)
    const first = await running(fixture('workflows.js'), ['--stop-timeout', '50ms'])
    const id = await enqueue('slow', { ms: 3000 }, acme)
    await untilStatus(id, 'running')
    first.kill('SIGTERM')
    expect((await first.finished).code).toBe(0)
    expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0 })

    const second = await running(fixture('workflows.js'))
    await makeVisible(database, [id])
    await untilStatus(id, 'completed')
    expect(await execution(database, id)).toMatchObject({ retry_count: 0 })
    second.kill('SIGTERM')
    expect((await second.finished).code).toBe(0)
  })

  it('twice exits at once and says what becomes of the work', async () => {
    const acme = await organization(database)
    const started = await running(fixture('workflows.js'))
    const id = await enqueue('slow', { ms: 120_000 }, acme)
    await untilStatus(id, 'running')
    started.kill('SIGINT')
    // As npm does, which passes a Ctrl-C on to a program that got it already: this one does not count.
    started.kill('SIGINT')
    await started.untilWritten('stderr', 'a second signal exits at once')
    await sleep(800)
    expect(await execution(database, id)).toMatchObject({ status: 'running' })
    started.kill('SIGINT')
    const { code, stderr } = await started.finished
    expect(code).toBe(1)
    expect(stderr).toMatch(/exiting at once: 1 execution in flight; their leases run out, then they are retried/)
    expect(await execution(database, id)).toMatchObject({ status: 'running' })
    await fw(['disable', acme], { url: database.url })
  })
})

describe('fw run with a module that will not do', () => {
  it.each([
    ['no-workflow.js', 2, 'exports no workflow (only answer, nothing)', 'export const hello = workflow('],
    ['same-name.js', 2, "two workflows are named 'twin': the exports first and others.second", ''],
    ['throws.js', 1, "can't be loaded: no configuration", 'throws.js:2'],
    ['not-there.ts', 2, 'there is no module', 'fixtures/not-there.ts'],
    ['', 2, 'there is no module', 'fixtures'],
  ])('%j', async (name, expected, message, hint) => {
    const { code, stdout, stderr } = await fw(['run', fixture(name)], { url: database.url })
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' })
    expect(stderr).toContain(message)
    expect(stderr).toContain(hint)
    expect(stderr).not.toMatch(/^\s+at .*\(/m)
  })

  it('names the place of an error of syntax in TypeScript', async () => {
    const cwd = await project({ 'package.json': '{"type":"module"}', 'broken.ts': 'export const a: number =\n' })
    const { code, stderr } = await fw(['run', 'broken.ts'], { cwd, url: database.url })
    expect(code).toBe(1)
    expect(stderr).toMatch(/broken\.ts/)
    expect(stderr).not.toMatch(/^\s+at .*\(/m)
  })

  it('does not start without a database, even when the module keeps something open', async () => {
    const { code, stderr } = await fw(['run', fixture('workflows.js')], { url: 'postgres://u@127.0.0.1:1/d' })
    expect(code).toBe(3)
    expect(stderr).toContain('no Postgres answers')
  })
})
