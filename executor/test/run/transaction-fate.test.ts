import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, stepNames, until, untilFinished, untilStatus } from '../support/executor.js'
import { type Fault, type Proxy, startProxy } from '../support/proxy.js'
import { execution } from '../support/sql.js'

const database = executorDatabase()
const ledger = async () => (await database.query<{ id: string }>('select id from ledger order by id')).map(({ id }) => id)
const insert = 'insert into ledger (id) values ($1)'
const input = z.object({ id: z.string() })

/** A proxy that does this to the commits of the steps that insert these ids, the first time, and lets nothing through that matches. */
async function faultyCommits(faults: Record<string, Fault | undefined>, refused?: RegExp, isRefusing = () => true): Promise<Proxy & { readonly done: number }> {
  const left = new Map(Object.entries(faults))
  let done = 0
  const proxy = await startProxy(database.url, (sent, by) => {
    if (by.application !== 'fw steps') return undefined
    if (refused?.test(sent) === true && isRefusing()) return 'refuse'
    by.note = Object.keys(faults).find((id) => sent.includes(`insert into ledger`) && sent.includes(id)) ?? by.note
    if (!/^Q[^]{4}commit\0$/.test(sent)) return undefined
    const fault = left.get(by.note)
    if (left.delete(by.note)) done++
    return fault
  })
  return { ...proxy, get done() { return done } }
}

beforeAll(async () => {
  await database.query('create table ledger (id text)')
})
beforeEach(async () => {
  await database.query('truncate ledger')
})

describe('when the answer to a commit is lost, each execution books once, and nobody is told of a failure:', () => {
  test('with a single attempt, with tries of the handler itself, and with a compensated step before it', async () => {
    const organizationId = await database.organization()
    const inputs = Array.from({ length: 30 }, (_, index) => ({ id: `b${String(index).padStart(2, '0')}` }))
    const proxy = await faultyCommits(Object.fromEntries(inputs.map(({ id }, index) => [id, ([undefined, 'answer', 'refuse'] as const)[index % 3]])))
    const told: unknown[] = []
    const undone: string[] = []
    const booking = workflow({ name: 'booking with faults', input, retry: { maxAttempts: 1 } }, async (ctx, { id }) => {
      await ctx.step('reserve', () => id, { compensate: (reserved) => undone.push(reserved) })
      for (let tries = 1; ; tries++) {
        try {
          return await ctx.transaction('book', async (sql) => (await sql.query<{ id: string }>(`${insert} returning id`, [id])).rows)
        } catch (error) {
          told.push(error)
          if (tries === 3) throw error
        }
      }
    })
    try {
      await database.start(booking, { connectionString: proxy.url })
      const ids = await database.client.enqueueMany(booking, inputs, { organizationId })
      await untilFinished(database, 'booking with faults')
      expect(proxy.done).toBe(30)
      expect(await ledger()).toEqual(inputs.map(({ id }) => id))
      expect(await Promise.all(ids.map((id) => database.client.result(id)))).toEqual(inputs.map(({ id }) => [{ id }]))
      expect([told, undone]).toEqual([[], []])
    } finally {
      await proxy.close()
    }
  })

  test.each(['lose', 'lose answer'] as const)('also when no side sees that the connection is gone (%s)', async (fault) => {
    const organizationId = await database.organization()
    const proxy = await faultyCommits({ x: fault })
    const booking = workflow({ name: `booking, ${fault}`, input, retry: { maxAttempts: 1 } }, async (ctx, { id }) => {
      await ctx.transaction('book', (sql) => sql.query(insert, [id]))
      return 'booked'
    })
    try {
      await database.start(booking, { connectionString: proxy.url })
      const id = await database.client.enqueue(booking, { id: 'x' }, { organizationId })
      expect(await database.client.result(id)).toBe('booked')
      expect(await ledger()).toEqual(['x'])
    } finally {
      await proxy.close()
    }
  })
})

test('when the answer to the checkpoint is lost, the transaction is tried again: nobody is told, and it books once', async () => {
  const organizationId = await database.organization()
  const faults: Fault[] = ['answer', 'refuse']
  const proxy = await startProxy(database.url, (sent) => (sent.includes('fw_checkpoint(') ? faults.shift() : undefined))
  const booking = workflow({ name: 'booking, checkpoint', input, retry: { maxAttempts: 1 } }, async (ctx, { id }) => {
    await ctx.transaction('book', (sql) => sql.query(insert, [id]))
    return await ctx.step('after', () => 'booked')
  })
  try {
    await database.start(booking, { connectionString: proxy.url })
    const id = await database.client.enqueue(booking, { id: 'x' }, { organizationId })
    expect(await database.client.result(id)).toBe('booked')
    expect([faults, await ledger(), await stepNames(database, id)]).toEqual([[], ['x'], ['book', 'after']])
  } finally {
    await proxy.close()
  }
})

test('while it is not known, branches beside it are given nothing, and when it is known all is as if nothing had been', async () => {
  const organizationId = await database.organization()
  let isRefusing = true
  const proxy = await faultyCommits({ x: 'answer' }, /fw_step_fate/, () => isRefusing)
  const seen: string[] = []
  const booking = workflow({ name: 'booking, branches', input, retry: { maxAttempts: 1 } }, async (ctx, { id }) => {
    const beside = async () => {
      await ctx.step('beside', async () => {
        await until('the commit is cut', () => proxy.done === 1)
      })
      seen.push('beside')
    }
    const book = async () => {
      await ctx.transaction('book', (sql) => sql.query(insert, [id]))
      seen.push('book')
    }
    await Promise.all([book(), beside()])
    return seen
  })
  try {
    await database.start(booking, { connectionString: proxy.url })
    const id = await database.client.enqueue(booking, { id: 'x' }, { organizationId })
    await until('the commit is cut', () => proxy.done === 1)
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(seen).toEqual([])
    isRefusing = false
    expect(await database.client.result(id)).toEqual(['book', 'beside'])
    expect(await ledger()).toEqual(['x'])
  } finally {
    await proxy.close()
  }
})

describe('while it cannot be known whether a transaction was committed,', () => {
  test('the handler does not go on, and the execution is handed back at no attempt and finds its checkpoint', async () => {
    const organizationId = await database.organization()
    const proxy = await faultyCommits({ x: 'answer' })
    const told: unknown[] = []
    const booking = workflow({ name: 'booking unknown', input, retry: { maxAttempts: 1 } }, async (ctx, { id }) => {
      await ctx.transaction('book', (sql) => sql.query(insert, [id])).catch((error: unknown) => told.push(error))
      return ctx.attempt
    })
    await database.query('alter function public.fw_step_fate rename to fw_hidden')
    try {
      const executor = await database.start(booking, { connectionString: proxy.url })
      const id = await database.client.enqueue(booking, { id: 'x' }, { organizationId })
      expect(await database.client.result(id)).toBe(1)
      await until('it is reported', () => executor.stats.completed === 1)
      expect(executor.stats).toMatchObject({ released: 1, completed: 1, retried: 0, deadLettered: 0 })
      expect([await ledger(), await stepNames(database, id), told]).toEqual([['x'], ['book'], []])
    } finally {
      await database.query('alter function public.fw_hidden rename to fw_step_fate')
      await proxy.close()
    }
  })

  test('an executor that stops hands it back, and the next one finds its checkpoint', async () => {
    const organizationId = await database.organization()
    const proxy = await faultyCommits({ x: 'answer' }, /fw_step_fate/)
    const told: unknown[] = []
    const booking = workflow({ name: 'booking stopped', input, retry: { maxAttempts: 1 } }, async (ctx, { id }) => {
      await ctx.transaction('book', (sql) => sql.query(insert, [id])).catch((error: unknown) => told.push(error))
      return ctx.attempt
    })
    try {
      const executor = await database.start(booking, { connectionString: proxy.url })
      const id = await database.client.enqueue(booking, { id: 'x' }, { organizationId })
      await until('the commit is cut', () => proxy.done === 1)
      await executor.stop({ timeout: 100 })
      expect(executor.stats).toMatchObject({ released: 1, completed: 0, retried: 0, deadLettered: 0 })
      expect((await execution(database, id)).status).toBe('queued')
      await database.start(booking)
      expect(await database.client.result(id)).toBe(1)
      expect([await ledger(), told]).toEqual([['x'], []])
    } finally {
      await proxy.close()
    }
  })
})

describe('an error with which the server answers a commit is a failure, and nothing is booked:', () => {
  test('a constraint that was deferred to the end', async () => {
    const organizationId = await database.organization()
    await database.query('create table deferred (id text unique deferrable initially deferred)')
    const booking = workflow({ name: 'booking twice', input, retry: { maxAttempts: 1 } }, async (ctx, { id }) => {
      await ctx.transaction('book', (sql) => sql.query('insert into deferred (id) values ($1), ($1)', [id]))
    })
    await database.start(booking)
    const id = await database.client.enqueue(booking, { id: 'x' }, { organizationId })
    await untilStatus(database, id, 'failed')
    expect((await execution(database, id)).last_error).toContain('duplicate key value violates unique constraint')
    expect([await database.query('select 1 from deferred'), await stepNames(database, id)]).toEqual([[], []])
  })

  test('a transaction that the step made serializable, and that met another one', async () => {
    const organizationId = await database.organization()
    let tries = 0
    const booking = workflow({ name: 'booking serializable', input, retry: { backoff: { initial: 1, max: 1 } } }, async (ctx, { id }) => {
      const seen = await ctx.transaction('book', async (sql) => {
        await sql.query('set transaction isolation level serializable')
        const { rows } = await sql.query<{ count: number }>('select count(*)::integer as count from ledger')
        if (++tries === 1) {
          await database.pool.query(`begin isolation level serializable; select count(*) from ledger; insert into ledger (id) values ('other'); commit`)
        }
        await sql.query(insert, [id])
        return rows[0]?.count
      })
      return { seen, attempt: ctx.attempt }
    })
    await database.start(booking)
    const id = await database.client.enqueue(booking, { id: 'x' }, { organizationId })
    expect(await database.client.result(id)).toEqual({ seen: 1, attempt: 2 })
    expect(await ledger()).toEqual(['other', 'x'])
  })
})
