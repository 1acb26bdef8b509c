import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createDatabase, expectInvariantsZero, type TestDatabase } from '../support/database.js'
import { claimOne, deadLetter, enqueue, executor, organization, report, workflow } from '../support/sql.js'
import { fw } from './fw.js'

const number = z.number()
const text = z.string()
const Report = z.strictObject({
  at: z.iso.datetime(),
  organizations: z.array(
    z.strictObject({
      organizationId: text.nullable(),
      enabled: z.boolean(),
      waiting: number,
      delayed: number,
      running: number,
      deadLetters: number,
      oldestWaitingSeconds: number.nullable(),
      lastRunAt: z.iso.datetime().nullable(),
      lastBatchSize: number.nullable(),
    }),
  ),
  executors: z.array(
    z.strictObject({ id: text, name: text, workflows: z.array(text), startedAt: z.iso.datetime(), lastSeenAt: z.iso.datetime(), live: z.boolean() }),
  ),
  runs: z.array(
    z.strictObject({
      id: text,
      organizationId: text,
      executor: text.nullable(),
      claimedAt: z.iso.datetime(),
      finishedAt: z.iso.datetime().nullable(),
      leaseExpiresAt: z.iso.datetime(),
      size: number,
      open: number,
      succeeded: number,
      failed: number,
      deadLettered: number,
      released: number,
      lost: number,
    }),
  ),
  warnings: z.array(z.strictObject({ code: text, message: text, organizationId: text.optional(), workflowName: text.optional() })),
  invariants: z.array(z.strictObject({ name: text, violations: number, detail: text.nullable() })).optional(),
})

let made: TestDatabase | undefined

/** A database of the test's own: the status is of a whole database. */
async function fresh(): Promise<TestDatabase> {
  made = await createDatabase()
  return made
}

afterEach(async () => {
  try {
    if (made !== undefined) await expectInvariantsZero(made.pool)
  } finally {
    await made?.drop()
    made = undefined
  }
})

async function statusOf({ url }: TestDatabase, ...args: string[]): Promise<z.infer<typeof Report>> {
  const { code, stdout, stderr } = await fw(['status', '--json', ...args], { url })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return Report.parse(JSON.parse(stdout))
}

describe('fw status', () => {
  it('shows an empty database', async () => {
    const database = await fresh()
    expect(await statusOf(database)).toMatchObject({ organizations: [], executors: [], runs: [], warnings: [] })
    const { stdout } = await fw(['status'], { url: database.url })
    expect(stdout).toContain('Organizations\n  none')
    expect(stdout).toContain('Executors\n  none')
    expect(stdout).not.toContain('warning')
  })

  it('counts by organization, names executors and shows the last batches', async () => {
    const database = await fresh()
    const name = workflow()
    const by = await executor(database, name)
    const acme = await organization(database, { batchSize: 1 })
    await enqueue(database, name, acme, 3)
    await deadLetter(database, by, await claimOne(database, by))
    const done = await claimOne(database, by)
    await report(database, by, [{ ...done, output: 1 }])
    await claimOne(database, by)
    await database.query("select public.fw_enqueue($1, '{}', $2, p_delay => interval '1 hour')", [name, acme])
    await enqueue(database, name, acme, 2)

    const status = await statusOf(database)
    expect(status.organizations).toMatchObject([
      { organizationId: acme, enabled: true, waiting: 2, delayed: 1, running: 1, deadLetters: 1, lastBatchSize: 1 },
    ])
    expect(status.executors).toMatchObject([{ id: by, name: 'test', workflows: [name], live: true }])
    expect(status.runs.map(({ open, succeeded, deadLettered }) => [open, succeeded, deadLettered])).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ])
    expect(status.warnings).toEqual([])
    expect(status).not.toHaveProperty('invariants')
    expect((await statusOf(database, '--runs', '1')).runs).toHaveLength(1)

    const { stdout } = await fw(['status'], { url: database.url })
    expect(stdout).toMatch(new RegExp(`^  ${acme} +enabled +2 +1 +1 +1 `, 'm'))
    expect(stdout).toMatch(new RegExp(`^  test +live .* ${name}$`, 'm'))
  })

  it('warns of work that waits for a disabled organization', async () => {
    const database = await fresh()
    const name = workflow()
    await executor(database, name)
    const acme = await organization(database, { enabled: false })
    await enqueue(database, name, acme, 2)
    expect((await statusOf(database)).warnings).toMatchObject([{ code: 'WORKER_DISABLED', organizationId: acme }])
    const { stdout } = await fw(['status'], { url: database.url })
    expect(stdout).toMatch(new RegExp(`^warning: .*2 executions wait.*fw enable ${acme}$`, 'm'))
  })

  it('warns of work that waits while no executor is live', async () => {
    const database = await fresh()
    const name = workflow()
    await executor(database, name)
    await enqueue(database, name, await organization(database))
    expect((await statusOf(database)).warnings).toEqual([])
    await database.query("update public.fw_executors set last_seen_at = now() - interval '1 minute'")
    const status = await statusOf(database)
    expect(status.warnings).toMatchObject([{ code: 'NO_EXECUTOR' }])
    expect(status.executors).toMatchObject([{ live: false }])
    await database.query('update public.fw_executors set stopped_at = now()')
    expect(await statusOf(database)).toMatchObject({ executors: [], warnings: [{ code: 'NO_EXECUTOR' }] })
  })

  it('warns of work that waits for a workflow that no live executor runs', async () => {
    const database = await fresh()
    await executor(database, workflow())
    await enqueue(database, 'orphan', await organization(database), 3)
    const { warnings } = await statusOf(database)
    expect(warnings).toMatchObject([{ code: 'UNKNOWN_WORKFLOW', workflowName: 'orphan', message: expect.stringContaining('3 executions wait') as string }])
  })
})

describe('fw status --check', () => {
  it('says that all invariants hold', async () => {
    const database = await fresh()
    const { code, stdout } = await fw(['status', '--check'], { url: database.url })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^ {2}all \d+ hold$/m)
    const { invariants } = await statusOf(database, '--check')
    expect(invariants?.length).toBeGreaterThan(5)
    expect(invariants?.every(({ violations }) => violations === 0)).toBe(true)
  })

  it('names a violated one and exits with 1', async () => {
    const database = await fresh()
    const lost = randomUUID()
    await database.query(
      `insert into public.fw_execution_steps (execution_id, node_id, organization_id, step_index, attempt_number, status, started_at)
       values ($1, 'a', $1, 0, 1, 'completed', now())`,
      [lost],
    )
    const { code, stdout, stderr } = await fw(['status', '--check'], { url: database.url })
    expect(code).toBe(1)
    expect(stdout).toMatch(/VIOLATED step_without_execution: 1/)
    expect(stderr).toBe('error: 1 invariant is violated\n')
    const json = await fw(['status', '--check', '--json'], { url: database.url })
    expect(json.code).toBe(1)
    expect(Report.parse(JSON.parse(json.stdout)).invariants).toContainEqual(expect.objectContaining({ name: 'step_without_execution', violations: 1 }))
    expect((await fw(['status'], { url: database.url })).code).toBe(0)
    await database.query('delete from public.fw_execution_steps where execution_id = $1', [lost])
  })
})
