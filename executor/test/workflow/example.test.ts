import { expect, test } from 'vitest'
import { z } from 'zod'
import { Client, type Context, workflow } from '../../src/index.js'
import { executorDatabase, steps } from '../support/executor.js'

const database = executorDatabase()

const payments = {
  charged: [] as [string, number][],
  charge(order: string, cents: number): Promise<{ id: string }> {
    this.charged.push([order, cents])
    return Promise.resolve({ id: `receipt of ${order}` })
  },
}

const charge = workflow(
  {
    name: 'charge',
    input: z.object({ order: z.string(), cents: z.int().positive() }),
    retry: { maxAttempts: 5, backoff: { initial: '1s', factor: 2, max: '5m' } },
  },
  async (ctx, input) => {
    const receipt = await ctx.step('charge card', () => payments.charge(input.order, input.cents), { timeout: '10s' })
    await ctx.transaction('book it', (sql) => sql.query('insert into ledger (id, cents) values ($1, $2)', [receipt.id, input.cents]))
    return { receipt: receipt.id }
  },
)

test('the first workflow that a reader meets runs as it is written', async () => {
  await database.query('create table ledger (id text, cents integer)')
  const organizationId = await database.organization()
  await database.start(charge)
  const client = new Client({ connectionString: database.url })
  try {
    const later = await client.enqueue(charge, { order: 'A7', cents: 4200 }, { organizationId, idempotencyKey: 'A7', delay: '10m' })
    const id = await client.enqueue(charge, { order: 'A8', cents: 1 }, { organizationId, idempotencyKey: 'A8' })
    expect(await client.result(id, { timeout: '1m' })).toEqual({ receipt: 'receipt of A8' })
    await expect(client.result(later, { timeout: 0 })).rejects.toThrow(/still queued/)
  } finally {
    await client.close()
  }
  expect(payments.charged).toEqual([['A8', 1]])
  expect(await database.query('select * from ledger')).toEqual([{ id: 'receipt of A8', cents: 1 }])
})

test('what a transaction returns as the result of a query is recorded as null, its rows as rows', async () => {
  const organizationId = await database.organization()
  const queries = workflow({ name: 'queries', input: z.object({}) }, async (ctx: Context) => {
    const one: unknown = await ctx.transaction('one', (sql) => sql.query('select 1 as a'))
    const two: unknown = await ctx.transaction('two', (sql) => sql.query('select 1 as a; select 2 as b'))
    const rows = await ctx.transaction('rows', async (sql) => (await sql.query<{ a: number }>('select 1 as a')).rows)
    return { one, two, rows }
  })
  await database.start(queries)
  const id = await database.client.enqueue(queries, {}, { organizationId })
  expect(await database.client.result(id)).toEqual({ one: null, two: null, rows: [{ a: 1 }] })
  expect((await steps(database, id)).map(({ output_data }) => output_data)).toEqual([null, null, [{ a: 1 }]])
})
