import { expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, expireLease, gate, shortLeases, until, untilStatus } from '../support/executor.js'
import { one } from '../support/sql.js'

const database = executorDatabase()
const input = z.object({})

test('the step that a running execution is in, and since when, is known once its lease was extended, and no more when it has ended', async () => {
  const organizationId = await database.organization()
  await shortLeases(database, organizationId, 3)
  const gates = { first: gate(), second: gate(), between: gate(), third: gate() }
  const long = workflow({ name: 'long', input }, async (ctx) => {
    await ctx.step('fetch', () => gates.first.opened)
    await Promise.all([ctx.step('transform', () => gates.second.opened), ctx.step('beside it', () => gates.second.opened)])
    await gates.between.opened
    await ctx.transaction('load', () => gates.third.opened)
  })
  await database.start(long)
  const id = await database.client.enqueue(long, {}, { organizationId })
  const stepIs = (step: string | null) => until(`its step is ${step ?? 'none'}`, async () => (await database.client.get(id)).currentStep === step)
  await untilStatus(database, id, 'running')
  const before = await database.client.get(id)
  expect(before.currentStep).toBeNull()
  await stepIs('fetch')
  const { currentStepSince } = await database.client.get(id)
  expect(currentStepSince?.getTime()).toBeGreaterThanOrEqual((before.startedAt?.getTime() ?? Infinity))
  expect((await database.client.list({ organizationId }))[0]).toMatchObject({ currentStep: 'fetch', currentStepSince })
  const batch = await database.query<{ at: Date }>('select lease_expires_at as at from public.fw_worker_runs where id = $1', [before.batchId])
  await until('the lease is extended again', async () =>
    (await database.query('select 1 from public.fw_worker_runs where id = $1 and lease_expires_at > $2', [before.batchId, new Date(one(batch).at.getTime() + 1000)])).length === 1)
  // The same step since the same time: nothing was written for it again.
  expect((await database.client.get(id)).currentStepSince).toEqual(currentStepSince)
  gates.first.open()
  await stepIs('transform')
  gates.second.open()
  await stepIs(null)
  expect((await database.client.get(id)).status).toBe('running')
  gates.between.open()
  await stepIs('load')
  gates.third.open()
  await untilStatus(database, id, 'completed')
  expect(await database.client.get(id)).toMatchObject({ currentStep: null, currentStepSince: null })
})

test('an attempt that was lost with its executor names it, and the step that it was last heard of in', async () => {
  const organizationId = await database.organization()
  await shortLeases(database, organizationId, 3)
  let runs = 0
  const go = gate()
  const heavy = workflow({ name: 'heavy', input }, (ctx) => ctx.step('eats all memory', async () => {
    if (++runs === 1) await go.opened
    return runs
  }))
  const first = await database.start(heavy, { name: 'the one that vanished' })
  const id = await database.client.enqueue(heavy, {}, { organizationId })
  await until('its step is known', async () => (await database.client.get(id)).currentStep === 'eats all memory')
  const { batchId } = await database.client.get(id)
  await expireLease(database, id)
  await until('it was tried again', async () => (await database.client.get(id)).status === 'completed')
  expect(await database.client.attempts(id)).toMatchObject([
    { attempt: 1, executor: 'the one that vanished', step: 'eats all memory', batchId, errorCategory: 'TIMEOUT', error: 'the lease ran out before the executor reported', stack: null, outcome: 'retry_pending' },
  ])
  go.open()
  await until('it has heard it', () => first.stats.fenced === 1)
})
