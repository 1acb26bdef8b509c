import type pg from 'pg'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import type { ExecutionId } from '../../src/client-options.js'
import type { Client } from '../../src/client.js'
import type { ExecutorOptions } from '../../src/executor-options.js'
import { workflow, type Workflow } from '../../src/workflow.js'

// Most of this is checked by the compiler (npm run typecheck), not when it runs: the functions below are never called.
const charge = workflow({ name: 'charge', input: z.object({ order: z.string(), cents: z.coerce.number<string>() }) }, async (ctx, input) => {
  expectTypeOf(input).toEqualTypeOf<{ order: string; cents: number }>()
  const receipt = await ctx.step('charge card', () => ({ id: 7 }))
  expectTypeOf(receipt).toEqualTypeOf<{ id: number }>()
  const later = await ctx.step('later', async ({ signal }) => {
    expectTypeOf(signal).toEqualTypeOf<AbortSignal>()
    return await Promise.resolve('x')
  })
  expectTypeOf(later).toEqualTypeOf<string>()
  return { receipt: receipt.id }
})
const other = workflow({ name: 'other', input: z.string() }, () => 1)

describe('types flow from the schema', () => {
  test('to the handler, the workflow and the executor', () => {
    expectTypeOf(charge).toEqualTypeOf<Workflow<{ order: string; cents: string }, { receipt: number }>>()
    expectTypeOf(other).toEqualTypeOf<Workflow<string, number>>()
    expectTypeOf([charge, other]).toExtend<ExecutorOptions['workflows']>()
    expect(charge.name).toBe('charge')
  })

  test('to the client and the result', () => {
    const typed = async (client: Client, at: { organizationId: string }) => {
      const id = await client.enqueue(charge, { order: 'A7', cents: '4200' }, at)
      expectTypeOf(id).toEqualTypeOf<ExecutionId<{ receipt: number }>>()
      expectTypeOf(id).toExtend<string>()
      expectTypeOf(await client.result(id)).toEqualTypeOf<{ receipt: number }>()
      const ids = await client.enqueueMany(other, ['a', 'b'], at)
      expectTypeOf(ids).toEqualTypeOf<ExecutionId<number>[]>()
      expectTypeOf(await client.result('00000000-0000-0000-0000-000000000000')).toEqualTypeOf<unknown>()
      await client.enqueue('by name', { anything: true }, at)
    }
    expect(typed).toBeTypeOf('function')
  })

  test('so that a wrong input does not compile', () => {
    const wrong = async (client: Client, at: { organizationId: string }) => {
      // @ts-expect-error: the type of cents
      await client.enqueue(charge, { order: 'A7', cents: 4200 }, at)
      // @ts-expect-error: cents is missing
      await client.enqueue(charge, { order: 'A7' }, at)
      // @ts-expect-error: a property that the schema does not know
      await client.enqueue(charge, { order: 'A7', cents: '1', extra: 1 }, at)
      // @ts-expect-error: in a list
      await client.enqueueMany(charge, [{ order: 'A7' }], at)
      // @ts-expect-error: no organization
      await client.enqueue(charge, { order: 'A7', cents: '1' }, {})
    }
    expect(wrong).toBeTypeOf('function')
  })

  test("and a transaction's query result is not taken for its rows", () => {
    const booked = workflow({ name: 'book', input: z.object({}) }, async (ctx) => {
      const nothing = await ctx.transaction('insert', (sql) => sql.query('insert into ledger values (1)'))
      expectTypeOf(nothing).toEqualTypeOf<null>()
      const rows = await ctx.transaction('select', async (sql) => (await sql.query<{ id: number }>('select 1 as id')).rows)
      expectTypeOf(rows).toEqualTypeOf<{ id: number }[]>()
      const count = await ctx.transaction('count', async (sql) => (await sql.query('select 1')).rowCount)
      expectTypeOf(count).toEqualTypeOf<number | null>()
      const either = await ctx.transaction('either', async (sql): Promise<pg.QueryResult | 'none'> => (input() ? await sql.query('select 1') : 'none'))
      expectTypeOf(either).toEqualTypeOf<'none' | null>()
    })
    const input = () => true
    expect(booked.name).toBe('book')
  })
})
