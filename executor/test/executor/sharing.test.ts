import { beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, statuses, until, untilFinished } from '../support/executor.js'
import { one } from '../support/sql.js'

const database = executorDatabase()
const count = async (text: string, values: unknown[] = []) => one(await database.query<{ count: number }>(text, values)).count

beforeAll(async () => {
  await database.query('create table effects (execution_id uuid, executor text, attempt integer)')
})

test('two executors share 2,000 executions of 20 organizations, and each is done exactly once', async () => {
  const shared = (executor: string) =>
    workflow({ name: 'shared', input: z.object({ n: z.number() }) }, async (ctx, { n }) => {
      await ctx.step('effect', () => database.query('insert into effects values ($1, $2, $3)', [ctx.executionId, executor, ctx.attempt]).then(() => n))
      return n
    })
  const organizations = await Promise.all(Array.from({ length: 20 }, () => database.organization({ batchSize: 10, concurrency: 2 })))
  const inputs = Array.from({ length: 100 }, (_, n) => ({ n }))
  for (const organizationId of organizations) await database.client.enqueueMany('shared', inputs, { organizationId })
  const executors = await Promise.all(['x', 'y'].map((name) => database.start(shared(name))))
  await untilFinished(database, 'shared')
  expect(await statuses(database, 'shared')).toEqual({ live: 0, completed: 2000, failed: 0 })
  expect(await count('select count(*)::integer from effects')).toBe(2000)
  expect(await count('select count(distinct execution_id)::integer as count from effects where attempt = 1')).toBe(2000)
  for (const name of ['x', 'y']) expect(await count('select count(*)::integer from effects where executor = $1', [name])).toBeGreaterThan(100)
  await until('both have heard the last', () => executors.every(({ stats }) => stats.inFlight === 0))
  expect(executors.map(({ stats }) => stats.completed).reduce((a, b) => a + b)).toBe(2000)
  expect(executors.map(({ stats }) => stats.claimed).reduce((a, b) => a + b)).toBe(2000)
})

test("fifty small organizations are done before a large one's first 2,000 of 20,000, with the guide's default settings", async () => {
  const small = workflow({ name: 'fair', input: z.object({}) }, (ctx) => ctx.step('only', () => 1))
  const large = await database.organization({ batchSize: 10, concurrency: 1 })
  const others = await Promise.all(Array.from({ length: 50 }, () => database.organization({ batchSize: 10, concurrency: 1 })))
  await database.query("select count(*) from public.fw_enqueue_many('fair', array_fill('{}'::jsonb, array[20000]), $1)", [large])
  for (const organizationId of others) {
    await database.query("select count(*) from public.fw_enqueue_many('fair', array_fill('{}'::jsonb, array[10]), $1)", [organizationId])
  }
  const executor = await database.start(small, { concurrency: 200 })
  await until('the small ones are done', async () =>
    (await count("select count(*)::integer from public.fw_workflow_executions where workflow_name = 'fair' and organization_id <> $1 and status = 'completed'", [large])) === 500)
  const before = await count(
    `select count(*)::integer from public.fw_workflow_executions where organization_id = $1 and status = 'completed' and completed_at <=
       (select max(completed_at) from public.fw_workflow_executions where workflow_name = 'fair' and organization_id <> $1)`,
    [large],
  )
  expect(before).toBeLessThan(2000)
  // And the large one is not starved by them either.
  await until('the large one goes on', async () =>
    (await count("select count(*)::integer from public.fw_workflow_executions where organization_id = $1 and status = 'completed'", [large])) > 2000)
  await executor.stop({ timeout: '30s' })
  expect((await statuses(database, 'fair')).failed).toBe(0)
})

test('no more executions are in flight than an executor has places', async () => {
  const organizationId = await database.organization({ batchSize: 50, concurrency: 10 })
  let now = 0
  let most = 0
  const crowded = workflow({ name: 'crowded', input: z.object({}) }, async (ctx) => {
    now++
    most = Math.max(most, now)
    await ctx.step('a', () => new Promise((resolve) => setTimeout(resolve, 5)))
    now--
  })
  await database.client.enqueueMany(crowded, Array.from({ length: 300 }, () => ({})), { organizationId })
  await database.start(crowded, { concurrency: 7 })
  await untilFinished(database, 'crowded')
  expect(most).toBe(7)
})
