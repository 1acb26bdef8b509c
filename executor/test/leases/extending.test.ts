import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, gate, shortLeases, until } from '../support/executor.js'
import { one } from '../support/sql.js'

const database = executorDatabase()

const lease = async (id: string) =>
  one(
    await database.query<{ lease: Date; vt: Date; batch: string }>(
      `select r.lease_expires_at as lease, q.vt, r.id as batch from public.fw_workflow_executions e
       join public.fw_worker_runs r on r.id = e.batch_id join pgmq.q_workflow_execution_queue q on q.msg_id = e.msg_id where e.id = $1`,
      [id],
    ),
  )

test('the lease of a step that outlives it is extended, and its message stays invisible', async () => {
  const organizationId = await database.organization()
  await shortLeases(database, organizationId, 3)
  const running = gate()
  const go = gate()
  const long = workflow({ name: 'long', input: z.object({}) }, async (ctx) => {
    await ctx.step('a', async () => {
      running.open()
      await go.opened
    })
    return ctx.attempt
  })
  const executor = await database.start(long)
  const id = await database.client.enqueue(long, {}, { organizationId })
  await running.opened
  const first = await lease(id)
  expect(first.vt).toEqual(first.lease)
  await until('three times as long has passed', async () => (await lease(id)).lease.getTime() > first.lease.getTime() + 9000)
  const last = await lease(id)
  expect(last.batch).toBe(first.batch)
  expect(last.vt).toEqual(last.lease)
  go.open()
  expect(await database.client.result(id)).toBe(1)
  await until('it has heard it', () => executor.stats.completed === 1)
  expect(executor.stats).toMatchObject({ claimed: 1, fenced: 0, retried: 0 })
})

test('leases are extended also while transaction steps hold every connection of the pool', async () => {
  const organizationId = await database.organization()
  await shortLeases(database, organizationId, 3)
  const booking = workflow({ name: 'booking', input: z.object({}) }, async (ctx) => {
    await ctx.transaction('hold', () => sleep(5000))
    return ctx.attempt
  })
  const executor = await database.start(booking, { poolSize: 1 })
  const ids = await database.client.enqueueMany(booking, [{}, {}], { organizationId })
  for (const id of ids) expect(await database.client.result(id)).toBe(1)
  expect(executor.stats.fenced).toBe(0)
})

test('an executor that claims nothing for long still says that it lives', async () => {
  const idle = workflow({ name: 'idle', input: z.object({}) }, () => undefined)
  await database.start(idle, { pollInterval: '1h' })
  // Until it has looked for work for the last time.
  await sleep(1000)
  await database.query("update public.fw_executors set last_seen_at = now() - interval '25 seconds'")
  await until('it is seen', async () => (await database.query("select 1 from public.fw_executors where stopped_at is null and last_seen_at > now() - interval '5 seconds'")).length === 1)
})
