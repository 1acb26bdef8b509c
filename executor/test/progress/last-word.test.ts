import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { Defer } from '../../src/defer.js'
import { Progress } from '../../src/progress.js'
import type { Run } from '../../src/run.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, until } from '../support/executor.js'

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

test('a run whose word is on its way, or that has said another one meanwhile, waits until the last one has arrived', async () => {
  const answers: (() => void)[] = []
  const fractions: unknown[] = []
  const query = (_: string, values: unknown[]) => {
    fractions.push(values[3])
    return new Promise((resolve) => answers.push(() => { resolve({ rows: [] }) }))
  }
  const progress = new Progress({ sql: { query } as never, logger: pino({ level: 'silent' }), executorId: () => 'x' })
  const run = { claim: { executionId: 'e', batchId: 'b' } } as unknown as Run
  let flushed = 0
  const flush = () => progress.flush(run).then(() => flushed++)
  progress.note(run, 0.1, undefined)
  const first = flush()
  await until('it is sent', () => answers.length === 1)
  const second = flush()
  progress.note(run, 0.2, undefined)
  await sleep(20)
  expect(flushed).toBe(0)
  answers[0]?.()
  await until('the other one is sent', () => answers.length === 2)
  await sleep(20)
  expect(flushed).toBe(0)
  answers[1]?.()
  await Promise.all([first, second])
  expect(fractions).toEqual([[0.1], [0.2]])
  await progress.stop()
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
