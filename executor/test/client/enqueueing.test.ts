import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Client } from '../../src/client.js'
import { NotJsonError, UsageError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase } from '../support/executor.js'
import { execution, one, withSessions } from '../support/sql.js'

const database = executorDatabase()
const order = workflow({ name: 'order', input: z.object({ n: z.int().positive() }) }, (_, { n }) => n)
const count = async () => one(await database.query<{ count: number }>('select count(*)::integer from public.fw_workflow_executions')).count
const inputOf = async (id: string) => one(await database.query<{ input: unknown }>('select input from public.fw_workflow_executions where id = $1', [id])).input
const visibleIn = async (id: string) =>
  one(await database.query<{ seconds: number }>("select extract(epoch from vt - enqueued_at)::float as seconds from pgmq.q_workflow_execution_queue where message ->> 'execution_id' = $1", [id])).seconds

describe('a statement', () => {
  test("is prepared on no connection of the caller's: a pooler may stand before it", async () => {
    const organizationId = randomUUID()
    const pool = new pg.Pool({ connectionString: database.url, max: 1 })
    try {
      const client = new Client({ pool })
      await client.enqueue(order, { n: 1 }, { organizationId })
      await client.enqueueMany(order, [{ n: 2 }], { organizationId })
      await database.client.enqueue(order, { n: 3 }, { organizationId, transaction: pool })
      expect((await pool.query('select name from pg_prepared_statements')).rows).toEqual([])
    } finally {
      await pool.end()
    }
  })
})

describe('enqueue', () => {
  test('keeps input, organization and metadata, also where the worker is not enabled yet', async () => {
    const organizationId = randomUUID()
    const id = await database.client.enqueue(order, { n: 1 }, { organizationId, metadata: { by: 'me', tags: ['a'] } })
    expect(await inputOf(id)).toEqual({ n: 1 })
    expect(await execution(database, id)).toMatchObject({ organization_id: organizationId, workflow_name: 'order', status: 'queued', metadata: { by: 'me', tags: ['a'] } })
  })

  test('by name takes any JSON', async () => {
    const organizationId = randomUUID()
    for (const input of [null, 0, 'text', [1, [2]], { a: { b: null } }]) {
      expect(await inputOf(await database.client.enqueue('by name', input, { organizationId }))).toEqual(input)
    }
    expect(await inputOf(await database.client.enqueue('by name', undefined, { organizationId }))).toBeNull()
  })

  test.each(['\ud83d', 'A7 \ude00', 'A\0' + '7', '', 'k'.repeat(501)])('refuses an idempotency key that the database would not keep as it is, and sends nothing: %#', async (key) => {
    const organizationId = randomUUID()
    await expect(database.client.enqueue(order, { n: 1 }, { organizationId, idempotencyKey: key })).rejects.toThrow(UsageError)
    await expect(database.client.enqueueMany(order, [{ n: 1 }, { n: 2 }], { organizationId, idempotencyKeys: [null, key] })).rejects.toThrow(UsageError)
    expect(await database.query('select 1 from public.fw_workflow_executions where organization_id = $1', [organizationId])).toEqual([])
  })

  test('takes an idempotency key of 500 characters, whatever their width, and knows it again', async () => {
    const organizationId = randomUUID()
    const options = { organizationId, idempotencyKey: '\u{1F600}'.repeat(500) }
    expect(await database.client.enqueue(order, { n: 1 }, options)).toBe(await database.client.enqueue(order, { n: 1 }, options))
  })

  test('with the same idempotency key returns the first execution, for that workflow and organization only', async () => {
    const organizationId = randomUUID()
    const options = { organizationId, idempotencyKey: 'A7' }
    const id = await database.client.enqueue(order, { n: 1 }, options)
    expect(await database.client.enqueue(order, { n: 2 }, options)).toBe(id)
    expect(await inputOf(id)).toEqual({ n: 1 })
    expect(await database.client.enqueue('other', { n: 1 }, options)).not.toBe(id)
    expect(await database.client.enqueue(order, { n: 1 }, { organizationId: randomUUID(), idempotencyKey: 'A7' })).not.toBe(id)
    expect(await database.client.enqueue(order, { n: 1 }, { organizationId })).not.toBe(id)
  })

  test('with a delay keeps it from starting before then', async () => {
    const organizationId = randomUUID()
    expect(await visibleIn(await database.client.enqueue(order, { n: 1 }, { organizationId }))).toBe(0)
    expect(await visibleIn(await database.client.enqueue(order, { n: 1 }, { organizationId, delay: '10m' }))).toBeCloseTo(600, 1)
    expect(await visibleIn(await database.client.enqueue(order, { n: 1 }, { organizationId, delay: 1500 }))).toBeCloseTo(1.5, 1)
  })

  test("in the caller's transaction is there if and when that commits", async () => {
    const organizationId = randomUUID()
    const before = await count()
    const client = await database.pool.connect()
    try {
      await client.query('begin')
      await database.client.enqueueMany(order, [{ n: 1 }, { n: 2 }], { organizationId, transaction: client })
      await client.query('rollback')
      expect(await count()).toBe(before)
      await client.query('begin')
      const id = await database.client.enqueue(order, { n: 3 }, { organizationId, transaction: client })
      expect(await count()).toBe(before)
      await client.query('commit')
      expect(await inputOf(id)).toEqual({ n: 3 })
    } finally {
      client.release()
    }
  })
})

describe('enqueueMany', () => {
  test('returns the ids in the order of the inputs', async () => {
    const organizationId = randomUUID()
    const inputs = Array.from({ length: 500 }, (_, index) => ({ n: index + 1 }))
    const ids = await database.client.enqueueMany(order, inputs, { organizationId })
    const rows = await database.query<{ id: string; n: number }>("select id, (input ->> 'n')::integer as n from public.fw_workflow_executions where id = any ($1::uuid[])", [ids])
    expect(rows).toHaveLength(500)
    expect(rows.sort((a, b) => a.n - b.n).map(({ id }) => id)).toEqual(ids)
  })

  test('with keys, some of them used before and some twice', async () => {
    const organizationId = randomUUID()
    const old = await database.client.enqueue(order, { n: 9 }, { organizationId, idempotencyKey: 'old' })
    const before = await count()
    const inputs = [1, 2, 3, 4, 5].map((n) => ({ n }))
    const [a, b, c, d, e] = await database.client.enqueueMany(order, inputs, { organizationId, idempotencyKeys: ['new', 'old', null, 'new', null] })
    expect(b).toBe(old)
    expect(d).toBe(a)
    expect(new Set([a, b, c, e]).size).toBe(4)
    expect(await count()).toBe(before + 3)
    expect(await inputOf(a ?? '')).toEqual({ n: 1 })
  })

  test('of no inputs enqueues none', async () => {
    expect(await database.client.enqueueMany(order, [], { organizationId: randomUUID() })).toEqual([])
  })
})

describe('nothing is enqueued', () => {
  test.each<[string, () => Promise<unknown>, string | RegExp | typeof UsageError]>([
    ['for input that fails the schema', () => database.client.enqueue(order, { n: -1 }, { organizationId: randomUUID() }), /does not fit the schema of workflow 'order'; nothing was enqueued/],
    ['for one such input among many', () => database.client.enqueueMany(order, [{ n: 1 }, { n: 0.5 }], { organizationId: randomUUID() }), UsageError],
    ['for a delay that is none', () => database.client.enqueue(order, { n: 1 }, { organizationId: randomUUID(), delay: 'soon' as '1s' }), /the delay is 'soon'/],
    ['for a negative delay', () => database.client.enqueue(order, { n: 1 }, { organizationId: randomUUID(), delay: -1 }), /the delay is '-1'/],
    ['for input that JSON cannot hold', () => database.client.enqueue('by name', { at: [new Date()] }, { organizationId: randomUUID() }), /the input of workflow 'by name' is not JSON: \$\.at\[0\] is a Date/],
    ['for metadata that JSON cannot hold', () => database.client.enqueue(order, { n: 1 }, { organizationId: randomUUID(), metadata: { a: 1n } }), /the metadata is not JSON: \$\.a/],
    ['for keys that are too few', () => database.client.enqueueMany(order, [{ n: 1 }, { n: 2 }], { organizationId: randomUUID(), idempotencyKeys: ['a'] }), /1 idempotency keys for 2 inputs/],
    ['for an empty name', () => database.client.enqueue('', {}, { organizationId: randomUUID() }), /workflow name has 0 characters/],
    ['for an organization that is no uuid', () => database.client.enqueue(order, { n: 1 }, { organizationId: 'us' }), /uuid/],
  ])('%s', async (_, enqueue, message) => {
    const before = await count()
    await expect(enqueue()).rejects.toThrow(message)
    expect(await count()).toBe(before)
  })

  test('and the reason is kept as the cause', async () => {
    const failure = await database.client.enqueue(order, { n: -1 }, { organizationId: randomUUID() }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(UsageError)
    expect((failure as UsageError).cause).toMatchObject({ issues: [{ path: ['n'] }] })
    await expect(database.client.enqueue('by name', 1n, { organizationId: randomUUID() })).rejects.toBeInstanceOf(NotJsonError)
  })
})

test('an enqueue is not held up by an open transaction that has enqueued for the same organization', async () => {
  const organizationId = randomUUID()
  await database.client.enqueue(order, { n: 1 }, { organizationId })
  await withSessions(database, 1, async (open) => {
    await open.query('begin')
    await open.query("select public.fw_enqueue('order', '{\"n\": 1}', $1)", [organizationId])
    expect(await database.client.enqueue(order, { n: 2 }, { organizationId })).toMatch(/^[0-9a-f-]{36}$/)
  })
})
