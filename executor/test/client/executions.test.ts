import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { ExecutionEndedError, UnknownExecutionError, UsageError } from '../../src/errors.js'
import { readSummaries } from '../../src/execution-details.js'
import type { Queryable } from '../../src/protocol.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, gate, until, untilStatus } from '../support/executor.js'
import { messages } from '../support/sql.js'

const database = executorDatabase()
const echo = workflow({ name: 'echo', input: z.object({ value: z.number() }) }, (_, { value }) => value)

test('executions are listed newest first, by filters, in pages that neither miss nor repeat one', async () => {
  const organizationId = await database.organization({ enabled: false })
  const ids: string[] = []
  for (let value = 0; value < 7; value++) ids.push(await database.client.enqueue(echo, { value }, { organizationId }))
  await database.client.enqueue('other', {}, { organizationId })
  await database.client.cancel(ids[2] ?? '')
  const seen: string[] = []
  for (let before: string | undefined; ; ) {
    const page = await database.client.list({ organizationId, workflow: echo, limit: 3, ...(before === undefined ? {} : { before }) })
    seen.push(...page.map(({ id }) => id))
    before = page.at(-1)?.id
    if (page.length < 3) break
  }
  // Within a millisecond ids of older versions of Postgres are in no order.
  expect(seen).toEqual(ids.toSorted().toReversed())
  expect((await database.client.list({ organizationId, statuses: ['cancelled'] })).map(({ id }) => id)).toEqual([ids[2]])
  expect(await database.client.list({ organizationId: randomUUID() })).toEqual([])
  await expect(database.client.list({ limit: 1001 })).rejects.toThrow(UsageError)
})

test('one is got by its id, and an unknown one is an error', async () => {
  const organizationId = await database.organization({ enabled: false })
  const id = await database.client.enqueue(echo, { value: 1 }, { organizationId, metadata: { order: 'A7' } })
  expect(await database.client.get(id)).toMatchObject({ id, organizationId, workflow: 'echo', status: 'queued', attempt: 1, input: { value: 1 }, metadata: { order: 'A7' } })
  await expect(database.client.get(randomUUID())).rejects.toThrow(UnknownExecutionError)
})

test('a queued, a waiting and a delayed execution are cancelled with the reason, once', async () => {
  const organizationId = await database.organization()
  const waits = workflow({ name: 'waits', input: z.object({}) }, (ctx) => ctx.waitForEvent('never'))
  await database.start(waits)
  const waiting = await database.client.enqueue(waits, {}, { organizationId })
  const delayed = await database.client.enqueue(waits, {}, { organizationId, delay: '1h' })
  const unknown = await database.client.enqueue('nobody runs it', {}, { organizationId })
  await untilStatus(database, waiting, 'waiting')
  for (const id of [waiting, delayed, unknown]) {
    expect(await database.client.cancel(id, 'not needed')).toBe(true)
    await expect(database.client.result(id)).rejects.toMatchObject({ status: 'cancelled', message: expect.stringContaining('cancelled: not needed') as unknown })
    expect(await database.client.cancel(id)).toBe(false)
  }
  expect(await messages(database, organizationId)).toEqual([])
  await database.client.emit(organizationId, 'never')
  expect((await database.client.get(waiting)).status).toBe('cancelled')
  await expect(database.client.cancel(randomUUID())).rejects.toMatchObject({ code: 'UNKNOWN_EXECUTION' })
})

test('the handler of a running one is aborted at once, and its place is free', async () => {
  const organizationId = await database.organization()
  const running = gate()
  const reasons: unknown[] = []
  const endless = workflow({ name: 'endless', input: z.object({}) }, async (ctx) => {
    await ctx.step('wait', async ({ signal }) => {
      running.open()
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve)
      })
      reasons.push(signal.reason)
    })
  })
  const executor = await database.start(endless)
  const id = await database.client.enqueue(endless, {}, { organizationId })
  await running.opened
  expect(await database.client.cancel(id, 'stop it')).toBe(true)
  await until('it hears it', () => reasons.length === 1 && executor.stats.inFlight === 0)
  expect(reasons[0]).toBeInstanceOf(ExecutionEndedError)
  expect((reasons[0] as Error).message).toContain('cancelled: stop it')
})

test('one that waits is made to fail, with a reason; its handler is not called again', async () => {
  const organizationId = await database.organization()
  let calls = 0
  const waits = workflow({ name: 'waits to fail', input: z.object({}) }, async (ctx) => {
    calls++
    await ctx.waitForEvent('never')
  })
  await database.start(waits)
  const id = await database.client.enqueue(waits, {}, { organizationId })
  await untilStatus(database, id, 'waiting')
  await expect(database.client.fail(id, '  ')).rejects.toThrow(UsageError)
  expect(await database.client.fail(id, 'the order was withdrawn')).toBe(true)
  await expect(database.client.result(id)).rejects.toMatchObject({ status: 'failed', category: 'RUNTIME', message: expect.stringContaining('failed by hand: the order was withdrawn') as unknown })
  expect(await database.client.fail(id, 'again')).toBe(false)
  await database.client.emit(organizationId, 'never')
  expect(calls).toBe(1)
  await expect(database.client.fail(randomUUID(), 'it is not there')).rejects.toMatchObject({ code: 'UNKNOWN_EXECUTION' })
})

test('summaries are what list gives, but for what may be large, which the database is not asked for', async () => {
  const organizationId = await database.organization()
  await database.client.enqueueMany(echo, [{ value: 1 }, { value: 2 }], { organizationId })
  const large = new Set(['input', 'output', 'metadata', 'compensating'])
  const full = await database.client.list({ organizationId })
  expect(await database.client.summaries({ organizationId })).toEqual(full.map((each) => Object.fromEntries(Object.entries(each).filter(([key]) => !large.has(key)))))
  const asked: string[] = []
  const query = (config: { text: string }) => {
    asked.push(config.text)
    return Promise.resolve({ rows: [] })
  }
  await readSummaries({ query } as unknown as Queryable, 'public.fw_list_executions()', [])
  expect(asked.join()).not.toMatch(/\be\.(input|output|metadata|compensating)\b/)
})
