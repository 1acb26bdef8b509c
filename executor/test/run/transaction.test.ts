import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { TransactionClient } from '../../src/context.js'
import { LeaseLostError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { deadLetterOf, executorDatabase, expireLease, gate, sessions, stepNames, steps, terminate, until, untilStatus } from '../support/executor.js'
import { contents, execution } from '../support/sql.js'

const database = executorDatabase()
const quick = { backoff: { initial: 1, max: 1 } }
const insert = 'insert into ledger (id) values ($1)'
const ledger = async () => (await database.query<{ id: string }>('select id from ledger order by id')).map(({ id }) => id)

beforeAll(async () => {
  await database.query('create table ledger (id text, constraint no_bad_id check (id <> $$bad$$))')
})
beforeEach(async () => {
  await database.query('truncate ledger')
})

test("the user's writes and the checkpoint become visible together", async () => {
  const organizationId = await database.organization()
  const written = gate()
  const go = gate()
  const booking = workflow({ name: 'booking', input: z.object({}) }, async (ctx) => {
    const count = await ctx.transaction('book', async (sql) => {
      const { rowCount } = await sql.query(insert, ['x'])
      written.open()
      await go.opened
      return rowCount
    })
    return count
  })
  await database.start(booking)
  const id = await database.client.enqueue(booking, {}, { organizationId })
  await written.opened
  expect(await ledger()).toEqual([])
  expect(await stepNames(database, id)).toEqual([])
  go.open()
  expect(await database.client.result(id)).toBe(1)
  expect(await ledger()).toEqual(['x'])
  expect(await steps(database, id)).toMatchObject([{ node_id: 'book', step_index: 0, attempt_number: 1, output_data: 1, status: 'completed' }])
})

test('exactly once, when the attempt fails right after it', async () => {
  const organizationId = await database.organization()
  const booking = workflow({ name: 'booking once', input: z.object({}), retry: quick }, async (ctx) => {
    await ctx.step('before', () => 1)
    const rows = await ctx.transaction('book', async (sql) => (await sql.query<{ id: string }>(`${insert} returning id`, ['x'])).rows)
    if (ctx.attempt < 3) throw new Error('right after it')
    return rows
  })
  await database.start(booking)
  const id = await database.client.enqueue(booking, {}, { organizationId })
  expect(await database.client.result(id)).toEqual([{ id: 'x' }])
  expect(await ledger()).toEqual(['x'])
  expect((await steps(database, id)).map(({ node_id, attempt_number, step_index }) => [node_id, attempt_number, step_index])).toEqual([
    ['before', 1, 0],
    ['book', 1, 1],
  ])
})

describe('nothing of it is written', () => {
  test('when the step throws', async () => {
    const organizationId = await database.organization()
    const booking = workflow({ name: 'booking thrice', input: z.object({}), retry: quick }, async (ctx) => {
      await ctx.transaction('book', async (sql) => {
        await sql.query(insert, [`attempt ${ctx.attempt}`])
        if (ctx.attempt < 3) throw new Error('after the insert')
      })
    })
    await database.start(booking)
    const id = await database.client.enqueue(booking, {}, { organizationId })
    await database.client.result(id)
    expect(await ledger()).toEqual(['attempt 3'])
    expect((await steps(database, id)).map(({ attempt_number }) => attempt_number)).toEqual([3])
  })

  test('when a query fails, whose error is the error of the attempt', async () => {
    const organizationId = await database.organization()
    const booking = workflow({ name: 'booking bad', input: z.object({}), retry: { maxAttempts: 1 } }, async (ctx) => {
      await ctx.transaction('book', async (sql) => {
        await sql.query(insert, ['good'])
        await sql.query(insert, ['bad'])
      })
    })
    await database.start(booking)
    const id = await database.client.enqueue(booking, {}, { organizationId })
    await untilStatus(database, id, 'failed')
    expect((await deadLetterOf(database, id))['error']).toContain('no_bad_id')
    expect(await ledger()).toEqual([])
    expect(await stepNames(database, id)).toEqual([])
  })

  test('when a query fails and the step goes on as if nothing were', async () => {
    const organizationId = await database.organization()
    const booking = workflow({ name: 'booking on', input: z.object({}), retry: { maxAttempts: 1 } }, async (ctx) => {
      await ctx.transaction('book', async (sql) => {
        await sql.query(insert, ['good'])
        await sql.query(insert, ['bad']).catch(() => undefined)
      })
    })
    await database.start(booking)
    const id = await database.client.enqueue(booking, {}, { organizationId })
    await untilStatus(database, id, 'failed')
    expect((await deadLetterOf(database, id))['error']).toMatch(/query of step 'book' failed/)
    expect(await ledger()).toEqual([])
  })

  test('when its result is not JSON', async () => {
    const organizationId = await database.organization()
    const booking = workflow({ name: 'booking big', input: z.object({}) }, async (ctx) => {
      await ctx.transaction('book', async (sql) => {
        await sql.query(insert, ['good'])
        return { total: 1n }
      })
    })
    await database.start(booking)
    const id = await database.client.enqueue(booking, {}, { organizationId })
    await untilStatus(database, id, 'failed')
    expect((await deadLetterOf(database, id))['error']).toContain('$.total is a bigint')
    expect(await ledger()).toEqual([])
  })

  test('when its session is ended by the server, which costs the attempt and not the executor', async () => {
    const organizationId = await database.organization()
    const inside = gate()
    const go = gate()
    const booking = workflow({ name: 'booking cut', input: z.object({}), retry: quick }, async (ctx) => {
      await ctx.transaction('book', async (sql) => {
        await sql.query(insert, [`attempt ${ctx.attempt}`])
        inside.open()
        await go.opened
      })
      return ctx.attempt
    })
    await database.start(booking)
    const id = await database.client.enqueue(booking, {}, { organizationId })
    await inside.opened
    expect(await terminate(database, 'fw steps')).toBeGreaterThan(0)
    await until('the session is gone', async () => !(await sessions(database)).includes('fw steps'))
    go.open()
    expect(await database.client.result(id)).toBe(2)
    expect(await ledger()).toEqual(['attempt 2'])
  })

  test('when its lease was lost meanwhile: the run is fenced, and its signal fires', async () => {
    const organizationId = await database.organization()
    const inside = gate()
    const go = gate()
    let signal: AbortSignal | undefined
    const booking = workflow({ name: 'booking fenced', input: z.object({}), retry: quick }, async (ctx) => {
      signal = ctx.signal
      await ctx.transaction('book', async (sql) => {
        await sql.query(insert, ['fenced'])
        inside.open()
        await go.opened
      })
    })
    const executor = await database.start(booking)
    const id = await database.client.enqueue(booking, {}, { organizationId })
    await inside.opened
    // Nobody else may claim it, so that what the fenced one writes would show.
    await database.query('update public.fw_module_settings set fw_execution_worker_enabled = false where organization_id = $1', [organizationId])
    await expireLease(database, id)
    const before = await contents(database)
    go.open()
    await until('it is fenced', () => executor.stats.fenced === 1, 8)
    expect(signal?.reason).toBeInstanceOf(LeaseLostError)
    expect(executor.stats.inFlight).toBe(0)
    expect(await ledger()).toEqual([])
    expect(await contents(database)).toEqual(before)
  })
})

describe('the transaction belongs to the worker:', () => {
  test.each(['commit', 'rollback'])('a step that ends it with %s is dead-lettered, not run again', async (end) => {
    const organizationId = await database.organization()
    const booking = workflow({ name: `booking ${end}`, input: z.object({}), retry: quick }, async (ctx) => {
      await ctx.transaction('book', async (sql) => {
        await sql.query(insert, ['x'])
        await sql.query(end)
      })
    })
    await database.start(booking)
    const id = await database.client.enqueue(booking, {}, { organizationId })
    await untilStatus(database, id, 'failed')
    expect(await deadLetterOf(database, id)).toMatchObject({ attempt: 1, error: expect.stringContaining('leave commit and rollback to the worker') as string })
    expect(await ledger()).toEqual(end === 'commit' ? ['x'] : [])
    expect(await stepNames(database, id)).toEqual([])
  })

  test('its client is of no use after the step', async () => {
    const organizationId = await database.organization()
    let kept: TransactionClient | undefined
    const booking = workflow({ name: 'booking later', input: z.object({}) }, async (ctx) => {
      await ctx.transaction('book', (sql) => {
        kept = sql
        return Promise.resolve()
      })
      await kept?.query(insert, ['outside']).catch(() => undefined)
    })
    await database.start(booking)
    const id = await database.client.enqueue(booking, {}, { organizationId })
    await database.client.result(id)
    await expect(async () => await kept?.query(insert, ['outside'])).rejects.toThrow(/step 'book' is over/)
    expect(await ledger()).toEqual([])
    expect((await execution(database, id)).status).toBe('completed')
  })
})
