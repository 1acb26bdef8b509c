import { expect, test } from 'vitest'
import { z } from 'zod'
import { EventTimeoutError, ResultTimeoutError, UsageError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, untilStatus } from '../support/executor.js'

const database = executorDatabase()
const nothing = z.object({})
const approval = workflow({ name: 'approval', input: nothing }, (ctx) =>
  ctx.waitForEvent('approved', { schema: z.object({ by: z.string() }), timeout: '1h' }))

test('an event wakes every waiter of its organization with the payload, and nobody of another', async () => {
  const organizationId = await database.organization()
  const other = await database.organization()
  await database.start(approval, { pollInterval: '1h' })
  const ids = await database.client.enqueueMany(approval, [{}, {}, {}], { organizationId })
  const foreign = await database.client.enqueue(approval, {}, { organizationId: other })
  for (const id of [...ids, foreign]) await untilStatus(database, id, 'waiting')
  await database.client.emit(organizationId, 'approved', { by: 'Ada' })
  for (const id of ids) expect(await database.client.result(id)).toEqual({ by: 'Ada' })
  await untilStatus(database, foreign, 'waiting')
})

test('an event that came before the wait is found', async () => {
  const organizationId = await database.organization()
  await database.client.emit(organizationId, 'approved', { by: 'Bob' })
  await database.start(approval)
  const id = await database.client.enqueue(approval, {}, { organizationId })
  expect(await database.client.result(id)).toEqual({ by: 'Bob' })
})

test('one whose keeping is over is not', async () => {
  const organizationId = await database.organization()
  await database.client.emit(organizationId, 'approved', { by: 'Bob' })
  await database.query('update public.fw_events set expires_at = now()')
  await database.start(approval)
  const id = await database.client.enqueue(approval, {}, { organizationId })
  await untilStatus(database, id, 'waiting')
})

test('waits for the same key one after the other receive one event each, in their order', async () => {
  const organizationId = await database.organization()
  const pair = workflow({ name: 'pair', input: nothing }, async (ctx) => [await ctx.waitForEvent('item'), await ctx.waitForEvent('item')])
  await database.start(pair)
  await database.client.emit(organizationId, 'item', 1)
  const id = await database.client.enqueue(pair, {}, { organizationId })
  await untilStatus(database, id, 'waiting')
  await database.client.emit(organizationId, 'item', 2)
  await database.client.emit(organizationId, 'item', 3)
  expect(await database.client.result(id)).toEqual([1, 2])
})

test('a wait whose time is up throws, and the event that comes later is left for the next one', async () => {
  const organizationId = await database.organization()
  const impatient = workflow({ name: 'impatient', input: nothing }, async (ctx) => {
    const heard: unknown[] = []
    try {
      heard.push(await ctx.waitForEvent('late', { timeout: '500ms' }))
    } catch (error) {
      if (!(error instanceof EventTimeoutError)) throw error
      heard.push(error.message)
    }
    heard.push(await ctx.waitForEvent('late'))
    return heard
  })
  await database.start(impatient)
  const id = await database.client.enqueue(impatient, {}, { organizationId })
  const secondWait = async () => (await database.query("select 1 from public.fw_execution_steps where execution_id = $1 and node_id = 'event late#2'", [id])).length === 1
  for (let look = 0; look < 1000 && !(await secondWait()); look++) await new Promise((resolve) => setTimeout(resolve, 10))
  await database.client.emit(organizationId, 'late', 'here I am')
  expect(await database.client.result(id)).toEqual(["no event 'late' came in time", 'here I am'])
})

test('a timeout that nobody catches is a dead letter of category TIMEOUT at once', async () => {
  const organizationId = await database.organization()
  const strict = workflow({ name: 'strict', input: nothing }, (ctx) => ctx.waitForEvent('never', { timeout: '100ms' }))
  await database.start(strict)
  const id = await database.client.enqueue(strict, {}, { organizationId })
  await expect(database.client.result(id)).rejects.toMatchObject({ status: 'failed', category: 'TIMEOUT', message: expect.stringContaining("'never'") as unknown })
})

test('a payload that does not fit the schema is a dead letter that says where', async () => {
  const organizationId = await database.organization()
  await database.client.emit(organizationId, 'approved', { by: 7 })
  await database.start(approval)
  const id = await database.client.enqueue(approval, {}, { organizationId })
  await expect(database.client.result(id)).rejects.toThrow(/payload of event 'approved' does not fit: by: /)
})

test('the first of an event and a sleep goes on, and the other is forgotten', async () => {
  const organizationId = await database.organization()
  const race = workflow({ name: 'race', input: nothing }, async (ctx) => {
    const first = await Promise.race([ctx.waitForEvent('go').then(() => 'event'), ctx.sleep('1h').then(() => 'sleep')])
    return await ctx.step('after', () => first)
  })
  await database.start(race)
  const id = await database.client.enqueue(race, {}, { organizationId })
  await untilStatus(database, id, 'waiting')
  await database.client.emit(organizationId, 'go')
  expect(await database.client.result(id)).toBe('event')
})

test('an event that is emitted in a transaction of the caller with a snapshot older than the wait is received at once', async () => {
  const organizationId = await database.organization()
  await database.start(approval, { pollInterval: '1h' })
  const caller = await database.pool.connect()
  try {
    for (const level of ['repeatable read', 'serializable']) {
      await caller.query(`begin isolation level ${level}`)
      await caller.query('select count(*) from public.fw_events')
      const id = await database.client.enqueue(approval, {}, { organizationId })
      await untilStatus(database, id, 'waiting')
      await database.client.emit(organizationId, 'approved', { by: level }, { transaction: caller })
      await caller.query('commit')
      expect(await database.client.result(id)).toEqual({ by: level })
      await database.query('delete from public.fw_events')
    }
  } finally {
    caller.release()
  }
})

test('two waits for one key at once receive an event each, those that came before in their order', async () => {
  const organizationId = await database.organization()
  const both = workflow({ name: 'both', input: z.string() }, (ctx, key) => Promise.all([ctx.waitForEvent(key), ctx.waitForEvent(key)]))
  await database.start(both)
  const id = await database.client.enqueue(both, 'approval', { organizationId })
  await untilStatus(database, id, 'waiting')
  await database.client.emit(organizationId, 'approval', 'of the first person')
  await expect(database.client.result(id, { timeout: '500ms' })).rejects.toThrow(ResultTimeoutError)
  await database.client.emit(organizationId, 'approval', 'of the second person')
  expect(await database.client.result(id)).toEqual(['of the first person', 'of the second person'])
  for (const item of [1, 2]) {
    await database.client.emit(organizationId, 'earlier', item)
    // Ids of one millisecond have no order before Postgres 18.
    await new Promise((resolve) => setTimeout(resolve, 3))
  }
  expect(await database.client.result(await database.client.enqueue(both, 'earlier', { organizationId }))).toEqual([1, 2])
})

test('a loop of waits receives every event once, in order, also those that come while it runs', async () => {
  const organizationId = await database.organization()
  const loop = workflow({ name: 'loop', input: z.int() }, async (ctx, count) => {
    const items: unknown[] = []
    for (let at = 0; at < count; at++) items.push(await ctx.waitForEvent('item'))
    return items
  })
  await database.start(loop)
  const expected = Array.from({ length: 60 }, (_, at) => at)
  for (const item of expected.slice(0, 30)) await database.client.emit(organizationId, 'item', item)
  const id = await database.client.enqueue(loop, 60, { organizationId })
  for (const item of expected.slice(30)) await database.client.emit(organizationId, 'item', item)
  const items = (await database.client.result(id)) as number[]
  expect(items.toSorted((a, b) => a - b)).toEqual(expected)
})

const BROKEN = ['\ud83d', 'order \ude00', 'a\0b']
test.each(BROKEN)('a key with half of a surrogate pair or U+0000 is refused before anything is sent: %j', async (key) => {
  const organizationId = await database.organization()
  await expect(database.client.emit(organizationId, key, 1)).rejects.toThrow(UsageError)
  expect(await database.query('select 1 from public.fw_events where organization_id = $1', [organizationId])).toEqual([])
  const wrong = workflow({ name: 'broken key', input: nothing }, (ctx) => ctx.waitForEvent(key))
  const executor = await database.start(wrong)
  const id = await database.client.enqueue(wrong, {}, { organizationId })
  await expect(database.client.result(id)).rejects.toThrow(/half of a surrogate pair/)
  await executor.stop()
})

test('the length of a key counts characters, as the database does: 200 emoji are received', async () => {
  const organizationId = await database.organization()
  const key = '\u{1F600}'.repeat(200)
  const long = workflow({ name: 'long key', input: nothing }, (ctx) => ctx.waitForEvent(key, { name: 'long' }))
  await database.start(long)
  const id = await database.client.enqueue(long, {}, { organizationId })
  await untilStatus(database, id, 'waiting')
  await database.client.emit(organizationId, key, 'received')
  expect(await database.client.result(id)).toBe('received')
  await expect(database.client.emit(organizationId, `${key}k`)).rejects.toThrow('1 to 200 characters, not 201')
})

test.each(['', 'k'.repeat(201), 'k'.repeat(10_000)])('a key that is empty or too long is refused by all sides', async (key) => {
  const organizationId = await database.organization()
  await expect(database.client.emit(organizationId, key, 1)).rejects.toThrow(`1 to 200 characters, not ${key.length}`)
  await expect(database.query('select public.fw_emit_event($1, $2)', [organizationId, key])).rejects.toMatchObject({ code: '22023', message: expect.stringContaining(`${key.length} characters`) as unknown })
  const wrong = workflow({ name: 'wrong key', input: nothing }, (ctx) => ctx.waitForEvent(key))
  const executor = await database.start(wrong)
  const id = await database.client.enqueue(wrong, {}, { organizationId })
  await expect(database.client.result(id)).rejects.toThrow(`1 to 200 characters, not ${key.length}`)
  await executor.stop()
})

test('a payload of 20 MB is refused with the limit, and nothing is emitted', async () => {
  const organizationId = await database.organization()
  await expect(database.client.emit(organizationId, 'big', 'x'.repeat(20_000_000))).rejects.toMatchObject({
    code: 'LIMIT_EXCEEDED', message: "the payload of event 'big' has 20000002 bytes, more than result_limit, which is 16777216", detail: 'Nothing was written.',
  })
  expect(await database.query("select 1 from public.fw_events where key = 'big'")).toEqual([])
})
