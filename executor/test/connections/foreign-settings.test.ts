import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { withDatabase } from '../../src/cli/database.js'
import { Client } from '../../src/client.js'
import { connectOwn, IsolationError, ownClient } from '../../src/connections.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, gate } from '../support/executor.js'

const database = executorDatabase()
const input = z.object({ text: z.string() })
const child = workflow({ name: 'child', input: z.object({ value: z.number() }) }, (ctx, { value }) => ctx.step('half', () => value / 3))
const everything = workflow({ name: 'everything', input }, async (ctx, { text }) => {
  const booked = await ctx.transaction('book', async (sql) => (await sql.query<{ n: number }>('insert into ledger values ($1) returning 1 as n', [text])).rowCount)
  const step = await ctx.step('step', () => ({ text, flag: true, third: 1 / 3, big: 123456789.123456 }))
  const event = await ctx.waitForEvent(`go ${text}`, { schema: z.object({ text: z.string() }) })
  await ctx.sleep(10)
  const halves = await ctx.map([{ value: 1 }, { value: 2 }], child)
  return { booked, step, event, halves }
})
const expected = (text: string) => ({ booked: 1, step: { text, flag: true, third: 1 / 3, big: 123456789.123456 }, event: { text }, halves: [1 / 3, 2 / 3] })

const TYPES = [16, 20, 21, 23, 25, 114, 700, 701, 1009, 1082, 1114, 1184, 1700, 2278, 2950, 2951, 3802]
type Parse = (value: string) => unknown
const parsers = pg.types as unknown as { getTypeParser: (oid: number) => Parse; setTypeParser: (oid: number, parse: Parse) => void }

/** What a library may do to all of pg. */
function garble(): () => void {
  const saved = TYPES.map((oid) => ({ oid, parse: parsers.getTypeParser(oid) }))
  for (const oid of TYPES) parsers.setTypeParser(oid, () => 'garbled')
  pg.defaults.parseInputDatesAsUTC = true
  return () => {
    for (const { oid, parse } of saved) parsers.setTypeParser(oid, parse)
    pg.defaults.parseInputDatesAsUTC = false
  }
}

let restore: (() => void) | undefined
let odd: pg.Pool

beforeAll(async () => {
  await database.query('create table ledger (id text)')
  const name = new URL(database.url).pathname.slice(1)
  for (const setting of [
    `datestyle = 'German, DMY'`, `intervalstyle = 'iso_8601'`, `bytea_output = 'escape'`, `extra_float_digits = -5`, `timezone = 'Asia/Kolkata'`,
    `client_encoding = 'LATIN1'`, `default_transaction_isolation = 'repeatable read'`, `standard_conforming_strings = off`,
  ]) await database.query(`alter database ${name} set ${setting}`)
  odd = new pg.Pool({ connectionString: database.url, max: 5 })
})
afterEach(() => {
  restore?.()
  restore = undefined
})
afterAll(async () => {
  await odd.end()
})

describe('what another library has set for all of pg, and what the database has as defaults, changes nothing:', () => {
  test.each(['with connections of its own', 'on a pool of the caller, with all of that'])('executors, and a client %s', async (whose) => {
    const organizationId = await database.organization()
    const text = `grün €😀 ${whose}`
    await database.start([everything, child])
    const isOwn = whose.startsWith('with')
    // The caller's pool has its own encoding right, as it must to get any text through.
    const pool = new pg.Pool({ connectionString: database.url, max: 5, verify: (client, done) => void client.query(`set client_encoding = 'UTF8'`).then(() => { done() }, done) })
    const client = new Client(isOwn ? { connectionString: database.url } : { pool })
    restore = garble()
    try {
      const before = Date.now()
      const id = await client.enqueue(everything, { text }, { organizationId, metadata: { text }, idempotencyKey: text })
      expect(await client.enqueue(everything, { text }, { organizationId, idempotencyKey: text })).toBe(id)
      expect(await client.emit(organizationId, `go ${text}`, { text })).toMatch(/^[0-9a-f-]{36}$/)
      expect(await client.result(id)).toEqual(expected(text))
      const execution = await client.get(id)
      expect(execution).toMatchObject({ id, organizationId, status: 'completed', attempt: 1, input: { text }, metadata: { text } })
      expect(Math.abs(execution.createdAt.getTime() - before)).toBeLessThan(600_000)
      expect(execution.completedAt?.getTime()).toBeGreaterThanOrEqual(execution.createdAt.getTime())
      const { createdAt, completedAt, status } = execution
      expect(await client.list({ organizationId, workflow: everything })).toMatchObject([{ id, createdAt, completedAt, status }])
      expect((await client.steps(id)).map(({ name }) => name)).toContain('book')
      expect(await client.cancel(id)).toBe(false)
    } finally {
      await client.close()
      await pool.end()
    }
  })

  test('timeouts that it has set', async () => {
    const organizationId = await database.organization()
    await database.start(child)
    pg.defaults.statement_timeout = 1
    pg.defaults.query_timeout = 1
    restore = () => {
      pg.defaults.statement_timeout = false
      delete pg.defaults.query_timeout
    }
    const client = new Client({ connectionString: database.url })
    try {
      const ids = await client.enqueueMany(child, Array.from({ length: 300 }, () => ({ value: 3 })), { organizationId })
      expect(await Promise.all(ids.map((id) => client.result(id)))).toEqual(ids.map(() => 1))
    } finally {
      await client.close()
    }
  })

  test('commands of fw', async () => {
    restore = garble()
    const shape = z.object({ at: z.date(), isOk: z.boolean(), names: z.array(z.string()), isolation: z.string(), text: z.string() })
    const row = await withDatabase(database.url, (on) =>
      on.row(shape, `select timestamptz '2026-01-31 10:00:00.57+02' as at, true as "isOk", array['a b', 'c"d', 'NULL', 'e,f'] as names,
        current_setting('transaction_isolation') as isolation, $1 as text`, ['ä€']))
    expect(row).toEqual({ at: new Date('2026-01-31T08:00:00.570Z'), isOk: true, names: ['a b', 'c"d', 'NULL', 'e,f'], isolation: 'read committed', text: 'ä€' })
  })
})

test("a transaction step's client is as the program's own: with the parsers that it has set, and the settings of the database", async () => {
  const organizationId = await database.organization()
  const flow = workflow({ name: 'own client', input: z.object({}) }, async (ctx) =>
    await ctx.transaction('look', async (sql) =>
      (await sql.query(`select 7::bigint as big, (date '2026-01-31')::text as day, current_setting('transaction_isolation') as isolation`)).rows as unknown))
  parsers.setTypeParser(20, (value) => `big ${value}`)
  restore = () => {
    parsers.setTypeParser(20, String)
  }
  await database.start(flow)
  const id = await database.client.enqueue(flow, {}, { organizationId })
  expect(await database.client.result(id)).toEqual([{ big: 'big 7', day: '31.01.2026', isolation: 'read committed' }])
})

describe('where transactions are REPEATABLE READ by default', () => {
  test('no parent waits for ever for children that finish at once', async () => {
    const organizationId = await database.organization()
    const last = workflow({ name: 'last', input: z.number() }, async (ctx, value) => {
      await new Promise((resolve) => setTimeout(resolve, 5 + 5 * Math.random()))
      return value
    })
    const parent = workflow({ name: 'parent', input: z.object({}) }, async (ctx) => await ctx.map([1, 2], last))
    for (let executors = 0; executors < 4; executors++) await database.start([parent, last], { lanes: 4 })
    const ids = await database.client.enqueueMany(parent, Array.from({ length: 120 }, () => ({})), { organizationId })
    expect(await Promise.all(ids.map((id) => database.client.result(id)))).toEqual(ids.map(() => [1, 2]))
  })

  test('a client on a pool of the caller cancels children whose parent then goes on, and an idempotency key gives one execution', async () => {
    const organizationId = await database.organization()
    const never = workflow({ name: 'never', input: z.object({}) }, async (ctx) => {
      await ctx.waitForEvent('never')
    })
    const parent = workflow({ name: 'parent of two', input: z.object({}) }, async (ctx) => {
      const ended = await ctx.map([{}, {}], never).catch((error: unknown) => (error as Error).name)
      return ended
    })
    const client = new Client({ pool: odd })
    await database.start([parent, never])
    const keys = await Promise.all(Array.from({ length: 20 }, () => client.enqueue(parent, {}, { organizationId, idempotencyKey: 'once' })))
    const [id] = keys
    expect(new Set(keys).size).toBe(1)
    if (id === undefined) throw new Error('nothing was enqueued')
    let children: string[] = []
    while (children.length < 2) children = (await client.list({ organizationId, workflow: never, statuses: ['waiting'] })).map((each) => each.id)
    await Promise.all(children.map((each) => client.cancel(each)))
    expect(await client.result(id)).toBe('ChildFailedError')
  })

  test('children that are ended in such transactions at once: one is told to try again, and the parent goes on', async () => {
    const organizationId = await database.organization()
    const inside = gate()
    const never = workflow({ name: 'never ends', input: z.object({}) }, async (ctx) => {
      await ctx.waitForEvent('never')
    })
    const parent = workflow({ name: 'parent of two more', input: z.object({}) }, async (ctx) => {
      inside.open()
      return await ctx.map([{}, {}], never).catch((error: unknown) => (error as Error).name)
    })
    await database.start([parent, never])
    const id = await database.client.enqueue(parent, {}, { organizationId })
    let children: string[] = []
    while (children.length < 2) children = (await database.client.list({ organizationId, workflow: never, statuses: ['waiting'] })).map((each) => each.id)
    const [one, two] = await Promise.all([odd.connect(), odd.connect()])
    try {
      for (const session of [one, two]) await session.query('begin isolation level repeatable read; select 1 from fw_executors')
      await one.query('select fw_cancel_execution($1)', [children[0]])
      const second = two.query('select fw_cancel_execution($1)', [children[1]])
      void second.catch(() => undefined)
      await one.query('commit')
      await expect(second).rejects.toMatchObject({ code: '40001' })
      await two.query('rollback')
      await two.query('select fw_cancel_execution($1)', [children[1]])
    } finally {
      one.release()
      two.release()
    }
    expect(await database.client.result(id)).toBe('ChildFailedError')
  })
})

test('behind a pooler, where a session cannot have a default of its own, it says what to run', async () => {
  const target = new URL(database.url)
  const port = Number(target.port)
  const sockets = new Set<Socket>()
  // A pooler answers with a process id of its own.
  const pooler = createServer((near) => {
    const far = connect(port, target.hostname)
    for (const socket of [near, far]) sockets.add(socket.on('error', () => undefined))
    near.on('data', (data) => far.write(data))
    far.on('data', (data) => {
      const key = data.indexOf(Buffer.from([0x4b, 0, 0, 0, 12]))
      if (key >= 0) data.writeInt32BE(12345, key + 5)
      near.write(data)
    })
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
  })
  await new Promise<void>((resolve) => pooler.listen(0, '127.0.0.1', resolve))
  target.port = String((pooler.address() as AddressInfo).port)
  try {
    const client = ownClient({ connectionString: target.href })
    const failure = await connectOwn(client).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(IsolationError)
    expect((failure as Error).message).toMatch(/REPEATABLE READ by default.*alter role "postgres" set default_transaction_isolation = 'read committed'/)
  } finally {
    for (const socket of sockets) socket.destroy()
    pooler.close()
  }
})
