import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, gate, until, untilStatus } from '../support/executor.js'
import { execution } from '../support/sql.js'

const database = executorDatabase()
const offer = () => database.query('select public.fw_offer_batches()')
const echo = workflow({ name: 'echo', input: z.object({}) }, () => 'echoed')

/** It has found nothing, and the second look that follows is over too. */
async function untilIdle(): Promise<void> {
  await until('it is idle', async () => (await database.query('select 1 from public.fw_executors where wants_work')).length === 1)
  await sleep(500)
}

/** Work that an idle executor is not told of, as if the NOTIFY had been lost; it claims nothing by itself. */
async function unseen(name: string, organizationId: string, count: number): Promise<string[]> {
  await database.query('update public.fw_executors set wants_work = false')
  const ids = await database.client.enqueueMany(name, Array.from({ length: count }, () => ({})), { organizationId })
  await database.query('update public.fw_executors set wants_work = true where stopped_at is null')
  return ids
}

test('a batch that is offered by NOTIFY is taken and run', async () => {
  const organizationId = await database.organization()
  const executor = await database.start(echo, { pollInterval: '1h' })
  await untilIdle()
  const ids = await unseen('echo', organizationId, 5)
  expect(await offer()).toHaveLength(1)
  for (const id of ids) expect(await database.client.result(id)).toBe('echoed')
  expect(executor.stats.claimed).toBe(5)
})

test('of an offered batch only what there is room for is kept; the rest is handed back at no attempt', async () => {
  const organizationId = await database.organization()
  const go = gate()
  const waiting = workflow({ name: 'waiting', input: z.object({}) }, async (ctx) => {
    await ctx.step('wait', () => go.opened)
    return ctx.attempt
  })
  const executor = await database.start(waiting, { pollInterval: '1h', concurrency: 2 })
  await untilIdle()
  const ids = await unseen('waiting', organizationId, 10)
  await offer()
  await until('the rest is handed back', async () => (await database.query("select 1 from public.fw_workflow_executions where workflow_name = 'waiting' and status = 'queued'")).length === 8)
  expect(executor.stats.inFlight).toBe(2)
  go.open()
  for (const id of ids) expect(await database.client.result(id)).toBe(1)
})

test('what only another executor knows is handed back to it', async () => {
  const organizationId = await database.organization()
  const other = workflow({ name: 'other', input: z.object({}) }, (ctx) => ctx.attempt)
  const executor = await database.start(echo, { pollInterval: '1h' })
  await untilIdle()
  await database.query(`select public.fw_register_executor('elsewhere', '[{"name": "other"}]')`)
  const [id] = await unseen('other', organizationId, 1)
  const [mine] = await unseen('echo', organizationId, 1)
  await offer()
  await untilStatus(database, mine ?? '', 'completed')
  await until('it is handed back', async () => (await execution(database, id ?? '')).status === 'queued')
  expect(executor.stats.claimed).toBe(1)
  await database.start(other)
  expect(await database.client.result(id ?? '')).toBe(1)
})

test('a tick between its registration and its LISTEN hides no work from it', async () => {
  const organizationId = await database.organization()
  const id = await database.client.enqueue('echo', {}, { organizationId })
  await database.query(`
    create function tick_at_once() returns trigger language plpgsql as 'begin perform public.fw_worker_tick(); return null; end';
    create trigger tick_at_once after insert on public.fw_executors for each row execute function tick_at_once()`)
  try {
    const executor = await database.start(echo, { pollInterval: '1h' })
    expect(await database.client.result(id)).toBe('echoed')
    expect(executor.stats.claimed).toBe(1)
    // An offer in vain would be a batch of its own.
    expect(await database.query('select 1 from public.fw_worker_runs where organization_id = $1', [organizationId])).toHaveLength(1)
  } finally {
    await database.query('drop function tick_at_once() cascade')
  }
})
