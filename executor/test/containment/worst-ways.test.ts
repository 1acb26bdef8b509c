// More of what one organization can do to others; their work completes beside it, and what becomes of its own is said.
import { beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ExecutionFailedError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, until, untilFinished } from '../support/executor.js'
import { one } from '../support/sql.js'

const database = executorDatabase()

const retry = { maxAttempts: 2, backoff: { initial: 1, max: 1 } }
const good = workflow({ name: 'good', input: z.object({ n: z.number() }) }, async (ctx, { n }) => {
  const doubled = await ctx.step('double', () => n * 2)
  await ctx.sleep(1)
  return await ctx.step('add', () => doubled + 1)
})
const overflow = workflow({ name: 'overflow', input: z.unknown(), retry }, () => 'x'.repeat(17_000_000))
const overflowStep = workflow({ name: 'overflow step', input: z.unknown(), retry }, (ctx) => ctx.step('fill', () => 'x'.repeat(17_000_000)))
const haul = workflow({ name: 'haul', input: z.unknown(), retry }, async (ctx) => (await ctx.step('haul', () => 'x'.repeat(4_000_000))).length)
const fail = workflow({ name: 'fail', input: z.unknown(), retry }, () => {
  throw new Error('x'.repeat(20_000))
})
const child = workflow({ name: 'child', input: z.unknown(), retry }, (ctx) => ctx.step('work', () => null))
const fan = workflow({ name: 'fan', input: z.unknown(), retry }, async (ctx) => (await ctx.map(Array.from({ length: 1500 }, (_, n) => n), child, { concurrency: 1500 })).length)
const listen = workflow({ name: 'listen', input: z.object({ key: z.string() }), retry }, async (ctx, { key }) => (await ctx.waitForEvent(key, { schema: z.string() })).length)
const hang = workflow({ name: 'hang', input: z.unknown(), retry }, (ctx) =>
  ctx.step('hang', ({ signal }) => new Promise<null>((_, reject) => {
    signal.addEventListener('abort', () => { reject(signal.reason as Error) })
  })))
const all = [good, overflow, overflowStep, haul, fail, child, fan, listen, hang]

let worst = ''
let other = ''

beforeEach(async () => {
  worst = await database.organization()
  other = await database.organization()
})

async function othersComplete(): Promise<void> {
  const ids = await database.client.enqueueMany(good, Array.from({ length: 20 }, (_, n) => ({ n })), { organizationId: other })
  const results = await Promise.all(ids.map((id) => database.client.result(id, { timeout: '30s' })))
  expect(results).toEqual(Array.from({ length: 20 }, (_, n) => n * 2 + 1))
}

describe('results', () => {
  test.each([
    ['an output', overflow, /the output of execution \S+ has 17000002 bytes at least, more than output_limit, which is 16777216/],
    ['the result of a step', overflowStep, /the result of step 'fill' has 17000002 bytes at least, more than result_limit, which is 16777216/],
  ])('%s that is larger than the limit ends the execution with the limit in its error, at its first attempt', async (_, work, message) => {
    await database.start(all)
    const ids = await database.client.enqueueMany(work, [1, 2, 3], { organizationId: worst })
    await othersComplete()
    for (const id of ids) {
      await expect(database.client.result(id, { timeout: '30s' })).rejects.toThrow(ExecutionFailedError)
      const { last_error: error, retry_count: retries } = one(await database.query<{ last_error: string; retry_count: number }>(
        'select last_error, retry_count from public.fw_workflow_executions where id = $1', [id]))
      expect(error).toMatch(message)
      expect(retries).toBe(0)
    }
  })

  test('that are large, many at once, arrive whole', async () => {
    await database.start(all)
    const ids = await database.client.enqueueMany(haul, Array.from({ length: 10 }, () => null), { organizationId: worst })
    await othersComplete()
    expect(await Promise.all(ids.map((id) => database.client.result(id, { timeout: '30s' })))).toEqual(ids.map(() => 4_000_000))
  })
})

test('hundreds of failures with long errors are dead-lettered, each with its error cut to the limit', async () => {
  await database.start(all)
  await database.client.enqueueMany(fail, Array.from({ length: 300 }, () => null), { organizationId: worst })
  await othersComplete()
  await untilFinished(database, 'fail')
  expect(await database.query(
    `select status, length(last_error) <= 10001 as is_cut, count(*)::int as count from public.fw_workflow_executions where organization_id = $1 group by 1, 2`, [worst],
  )).toEqual([{ status: 'failed', is_cut: true, count: 300 }])
})

test('a map of 1,500 children at once completes', async () => {
  await database.start(all)
  const id = await database.client.enqueue(fan, null, { organizationId: worst })
  await othersComplete()
  expect(await database.client.result(id, { timeout: '60s' })).toBe(1500)
})

test('events as large as the limit reach those who wait for them, whole', async () => {
  await database.start(all)
  const ids = await database.client.enqueueMany(listen, Array.from({ length: 5 }, (_, n) => ({ key: `large ${n}` })), { organizationId: worst })
  for (let n = 0; n < 5; n++) {
    await database.query('select public.fw_emit_event($1, $2, to_jsonb(repeat(chr(1), 2700000)))', [worst, `large ${n}`])
  }
  await othersComplete()
  expect(await Promise.all(ids.map((id) => database.client.result(id, { timeout: '30s' })))).toEqual(ids.map(() => 2_700_000))
})

test('hundreds that are cancelled at once, while they run and while they wait, end as cancelled', async () => {
  const executor = await database.start(all, { concurrency: 60 })
  const ids = await database.client.enqueueMany(hang, Array.from({ length: 200 }, () => null), { organizationId: worst })
  await until('some run', () => executor.stats.inFlight > 0)
  await database.query('select public.fw_cancel_execution(id) from unnest($1::uuid[]) id', [ids])
  await othersComplete()
  expect(await database.query('select status, count(*)::int as count from public.fw_workflow_executions where organization_id = $1 group by 1', [worst])).toEqual([
    { status: 'cancelled', count: 200 },
  ])
  await until('their runs have ended', () => executor.stats.inFlight === 0)
})

test('thousands of organizations, each with one execution that wakes at the same time: all of them are served', async () => {
  await database.start(all)
  await database.query(
    `with made as (
       insert into public.fw_module_settings (organization_id, fw_execution_worker_enabled) select gen_random_uuid(), true from generate_series(1, 2000) returning organization_id)
     select count(public.fw_enqueue('child', '{}', m.organization_id, p_delay => interval '1 second')) from made m`)
  await othersComplete()
  await untilFinished(database, 'child')
  expect(one(await database.query<{ count: number }>(
    `select count(*)::int as count from public.fw_workflow_executions where workflow_name = 'child' and parent_id is null and status = 'completed'`)).count).toBe(2000)
})
