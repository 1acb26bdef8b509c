import { expect, test } from 'vitest'
import { z } from 'zod'
import { Defer } from '../../src/defer.js'
import { Progress } from '../../src/progress.js'
import type { Run } from '../../src/run.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, gate, until, untilStatus } from '../support/executor.js'

const database = executorDatabase()
const input = z.object({})

test.each(['completed', 'failed', 'waiting', 'retry_pending', 'deferred'] as const)('the last word before a run ends is kept: %s', async (how) => {
  const organizationId = await database.organization()
  const saying = workflow({ name: `says ${how}`, input, retry: { maxAttempts: how === 'failed' ? 1 : 2, backoff: { initial: '1h', max: '1h' } } }, async (ctx) => {
    ctx.progress(0.1, 'begun')
    await ctx.step('work', () => 1)
    ctx.progress(0.9, `nearly ${how}`)
    if (how === 'waiting') await ctx.waitForEvent('never')
    if (how === 'deferred') throw new Defer('1h')
    if (how !== 'completed') throw new Error('it broke')
  })
  await database.start(saying)
  const ids = await database.client.enqueueMany(saying, Array.from({ length: 20 }, () => ({})), { organizationId })
  for (const id of ids) {
    await until('it has ended', async () => {
      const { status } = await database.client.get(id)
      return how === 'deferred' ? status === 'queued' && (await database.query("select 1 from pgmq.q_workflow_execution_queue where message ->> 'execution_id' = $1 and vt > now() + interval '1 minute'", [id])).length === 1 : status === how
    })
    expect(await database.client.get(id)).toMatchObject({ progress: expect.closeTo(0.9) as unknown, progressText: `nearly ${how}` })
  }
})

test('a word that is on its way when the run ends arrives before the end is reported', async () => {
  const organizationId = await database.organization()
  const said = gate()
  const go = gate()
  const saying = workflow({ name: 'says late', input }, async (ctx) => {
    ctx.progress(0.5, 'half')
    said.open()
    await ctx.step('work', () => go.opened)
  })
  const executor = await database.start(saying)
  const id = await database.client.enqueue(saying, {}, { organizationId })
  await said.opened
  // It is sent by its timer, and waits for this lock.
  const session = await database.pool.connect()
  await session.query('begin')
  await session.query('select 1 from public.fw_workflow_executions where id = $1 for update', [id])
  await until('it is on its way', async () =>
    (await database.query("select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%fw_note_progress%'")).length === 1)
  go.open()
  await session.query('commit')
  session.release()
  await untilStatus(database, id, 'completed')
  expect(await database.client.get(id)).toMatchObject({ progress: 0.5, progressText: 'half' })
  await until('it is gone', () => executor.stats.completed === 1)
})

test('what many runs say goes in one call, and what the database does not take harms no run', async () => {
  const calls: unknown[][] = []
  const query = (_: string, values: unknown[]) => {
    calls.push(values)
    return calls.length === 1 ? Promise.reject(new Error('not today')) : Promise.resolve({ rows: [] })
  }
  const warnings: string[] = []
  const logger = { debug: () => undefined, info: () => undefined, error: () => undefined, warn: (_: object | string, message = '') => void warnings.push(message) }
  const progress = new Progress({ sql: { query } as never, logger, executorId: () => 'x' })
  const runs = Array.from({ length: 100 }, (_, at) => ({ claim: { executionId: `execution ${at}`, batchId: 'b' } }) as unknown as Run)
  for (const run of runs) progress.note(run, 0.5, `a\0b${'😀'.slice(0, 1)}`)
  await Promise.all(runs.map((run) => progress.flush(run)))
  expect(calls).toHaveLength(1)
  expect(calls[0]?.[1]).toHaveLength(100)
  expect(calls[0]?.[4]).toContain('ab\uFFFD')
  expect(warnings).toEqual(['how far executions are could not be noted'])
  expect(runs.some((run) => progress.holds(run))).toBe(false)
  for (const run of runs) progress.note(run, 1, undefined)
  await Promise.all(runs.map((run) => progress.flush(run)))
  expect(calls).toHaveLength(2)
  await progress.stop()
})
