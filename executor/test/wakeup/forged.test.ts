import { beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type KillPoint, onKillPoint } from '../../src/kill-points.js'
import { Offers } from '../../src/offers.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, gate, until } from '../support/executor.js'
import { execution } from '../support/sql.js'

const database = executorDatabase()
const echo = workflow({ name: 'echo', input: z.object({ n: z.number() }) }, (_, { n }) => n)
const idle = () => until('the executor is idle', async () => (await database.query('select 1 from public.fw_executors where wants_work')).length === 1)
const notify = (channel: string, payload: string) => database.query('select pg_notify($1, $2)', [channel, payload])

const calls = new Map<KillPoint, number>()
onKillPoint((point, when) => {
  if (when === 'before') calls.set(point, (calls.get(point) ?? 0) + 1)
})
beforeEach(() => { calls.clear() })

/** What is logged, and of the notifications that led to nothing how many were told of. */
function log() {
  const lines: { fields: Record<string, unknown>; message: string }[] = []
  const keep = (fields: object | string, message = '') => void lines.push(typeof fields === 'string' ? { fields: {}, message: fields } : { fields: fields as Record<string, unknown>, message })
  const logger = { debug: () => undefined, info: () => undefined, warn: keep, error: keep }
  const noise = () => lines.filter(({ message }) => message.includes('notifications'))
  const sum = (name: string) => noise().reduce((total, { fields }) => total + Number(fields[name]), 0)
  return { logger, lines, noise, sum }
}

/** An execution that runs until its gate opens, or its signal fires. */
async function running() {
  const organizationId = await database.organization()
  const [begun, go] = [gate(), gate()]
  const aborted: unknown[] = []
  const definition = workflow({ name: 'held', input: z.object({}) }, async (ctx) => {
    await ctx.step('wait', async ({ signal }) => {
      signal.addEventListener('abort', () => aborted.push(signal.reason))
      begun.open()
      await go.opened
    })
    return 'done'
  })
  const told = log()
  const executor = await database.start(definition, { logger: told.logger })
  const id = await database.client.enqueue(definition, {}, { organizationId })
  await begun.opened
  const { batch_id } = await execution(database, id)
  const forge = () => notify('fw_batch', JSON.stringify({ execution_id: id, batch_id, reason: 'because I say so' }))
  return { executor, id, go, aborted, told, forge }
}

describe('a forged NOTIFY', () => {
  test('that a running execution has ended stops no run: the database is asked, and denies it', async () => {
    const { executor, id, go, aborted, told, forge } = await running()
    for (let time = 0; time < 50; time++) await forge()
    await until('it was denied', () => told.sum('untrue') > 0)
    expect(aborted).toEqual([])
    go.open()
    expect(await database.client.result(id)).toBe('done')
    expect(executor.stats).toMatchObject({ ended: 0, completed: 1 })
  })

  test('among which a true one comes does not hide it: the run is aborted, for the reason that the database has', async () => {
    const { executor, id, aborted, forge } = await running()
    for (let time = 0; time < 20; time++) await forge()
    await database.client.cancel(id, 'the customer left')
    for (let time = 0; time < 20; time++) await forge()
    await until('it is aborted', () => aborted.length === 1)
    expect((aborted[0] as Error).message).toContain('the customer left')
    await until('its place is free', () => executor.stats.inFlight === 0)
    expect(executor.stats).toMatchObject({ ended: 1 })
  })

  test('of batches that nobody has offered costs few questions, however many there are', async () => {
    const organizationId = await database.organization()
    const told = log()
    await database.start(echo, { pollInterval: '1h', logger: told.logger })
    await idle()
    for (let time = 0; time < 3000; time++) await notify('fw_batch', `"${crypto.randomUUID()}"`)
    expect(calls.get('fw_take_batch') ?? 0).toBeLessThan(1000)
    const id = await database.client.enqueue(echo, { n: 1 }, { organizationId })
    expect(await database.client.result(id)).toBe(1)
    expect(told.lines).toEqual([])
  })

  test('of work costs few claims, however many there are, and real work is started', async () => {
    const organizationId = await database.organization()
    await database.start(echo, { pollInterval: '1h' })
    await idle()
    calls.clear()
    for (let time = 0; time < 3000; time++) await notify('fw_work', `"${crypto.randomUUID()}"`)
    expect(calls.get('fw_claim_batches') ?? 0).toBeLessThan(1000)
    const id = await database.client.enqueue(echo, { n: 2 }, { organizationId })
    expect(await database.client.result(id)).toBe(2)
  })

  test('of events that somebody may have missed costs few looks, however many there are', async () => {
    await database.start(echo, { pollInterval: '1h' })
    await idle()
    calls.clear()
    for (let time = 0; time < 3000; time++) await notify('fw_batch', '{"match_events": true}')
    expect(calls.get('fw_match_events') ?? 0).toBeLessThan(1000)
  })
})

describe('garbage on the channels', () => {
  test('is counted and told in one line, not as a failure of the listener, and the rest when the executor stops', async () => {
    const organizationId = await database.organization()
    const told = log()
    const executor = await database.start(echo, { pollInterval: '1h', logger: told.logger })
    await idle()
    for (const channel of ['fw_work', 'fw_batch']) {
      await database.query("select pg_notify($1, format('garbage {%s', g)) from generate_series(1, 2000) g", [channel])
      await database.query("select pg_notify($1, format('{\"execution_id\": %s}', g)) from generate_series(1, 500) g", [channel])
    }
    const id = await database.client.enqueue(echo, { n: 3 }, { organizationId })
    expect(await database.client.result(id)).toBe(3)
    expect(told.noise()).toHaveLength(1)
    await executor.stop()
    expect(told.noise()).toHaveLength(2)
    expect(told.sum('unreadable')).toBe(5000)
    expect(told.lines.filter(({ message }) => !message.includes('notifications'))).toEqual([])
  })
})

test('of many batches that were heard of one is offered: it is found with one question, and taken', async () => {
  const asked: string[] = []
  const taken: string[] = []
  const offered = crypto.randomUUID()
  const query = (what: { text: string; values: [string[]] | [string, string] }) => {
    if (what.text.includes('fw_offered_batches')) {
      asked.push(...(what.values[0] as string[]))
      return Promise.resolve({ rows: [[offered]] })
    }
    taken.push(what.values[1] as string)
    return Promise.resolve({ rows: [] })
  }
  const offers = new Offers({
    sql: { query } as never,
    logger: log().logger,
    executorId: () => 'x',
    reserve: (most) => (isRoom ? most : 0),
    unreserve: () => undefined,
    knows: () => true,
    onClaim: () => undefined,
  })
  let isRoom = false
  for (let time = 0; time < 600; time++) offers.add(crypto.randomUUID())
  await offers.settled()
  offers.add(offered)
  for (let time = 0; time < 600; time++) offers.add(crypto.randomUUID())
  await offers.settled()
  isRoom = true
  offers.take()
  await offers.settled()
  expect(asked).toHaveLength(1000)
  expect(taken).toEqual([offered])
})
