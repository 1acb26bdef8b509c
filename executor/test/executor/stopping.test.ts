import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ExecutionEndedError, ExecutorStoppedError, SchemaVersionError, UsageError } from '../../src/errors.js'
import { Executor } from '../../src/executor.js'
import { workflow } from '../../src/workflow.js'
import { createDatabase } from '../support/database.js'
import { executorDatabase, gate, sessions, steps, terminate, until, untilNoSessions, untilStatus } from '../support/executor.js'
import { execution } from '../support/sql.js'

const database = executorDatabase()
const nothing = workflow({ name: 'nothing', input: z.object({}) }, () => undefined)

describe('stop', () => {
  test('lets running executions finish and claims nothing more', async () => {
    const organizationId = await database.organization()
    const running = gate()
    const go = gate()
    const slow = workflow({ name: 'slow', input: z.object({}) }, async (ctx) => {
      await ctx.step('a', async () => {
        running.open()
        await go.opened
      })
      await ctx.step('b', () => sleep(30))
      return 'finished'
    })
    const executor = await database.start(slow)
    const id = await database.client.enqueue(slow, {}, { organizationId })
    await running.opened
    const stopped = executor.stop({ timeout: '30s' })
    // A claim that is on its way when stop() is called may still bring work, which is handed back.
    await sleep(200)
    const later = await database.client.enqueueMany(slow, [{}, {}, {}], { organizationId })
    await sleep(100)
    go.open()
    await stopped
    expect((await execution(database, id)).output).toBe('finished')
    for (const each of later) expect(await execution(database, each)).toMatchObject({ status: 'queued', started_at: null })
    expect(executor.stats).toMatchObject({ claimed: 1, completed: 1, released: 0, inFlight: 0 })
    await untilNoSessions(database)
    expect(await database.query('select 1 from public.fw_executors where stopped_at is null')).toEqual([])
  })

  test('a cancel reaches a run while its executor is stopping, and nothing new is taken meanwhile', async () => {
    // Leases that are extended after minutes only: it is the listener that hears of the cancel.
    const organizationId = await database.organization({ visibilityTimeout: 600 })
    const running = gate()
    const reasons: unknown[] = []
    const endless = workflow({ name: 'endless until cancelled', input: z.object({}) }, async (ctx) => {
      await ctx.step('endless', async ({ signal }) => {
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
    const stopped = executor.stop({ timeout: '40s' })
    await sleep(300)
    const later = await database.client.enqueue(endless, {}, { organizationId })
    // It hears of both, and takes neither.
    await database.query('update public.fw_executors set wants_work = true where stopped_at is null')
    await database.query('select public.fw_offer_batches()')
    await database.query("select pg_notify('fw_work', to_json($1::text)::text)", [organizationId])
    await database.client.cancel(id, 'by Ada')
    await stopped
    expect(reasons).toEqual([expect.any(ExecutionEndedError)])
    expect((reasons[0] as Error).message).toContain('by Ada')
    expect(executor.stats).toMatchObject({ claimed: 1, ended: 1, released: 0, inFlight: 0 })
    expect(await execution(database, id)).toMatchObject({ status: 'cancelled' })
    await untilNoSessions(database)
    // What was offered and not taken goes back with the next tick.
    await database.query("update public.fw_worker_runs set claimed_at = claimed_at - interval '11 seconds' where taken_at is null")
    await database.query('select public.fw_reap_expired_batches()')
    expect(await execution(database, later)).toMatchObject({ status: 'queued', started_at: null })
  })

  test('hands back what does not finish in time: its signal fires, its steps are kept, and it costs no attempt', async () => {
    const organizationId = await database.organization()
    const running = gate()
    const reasons: unknown[] = []
    let late: Promise<unknown> | undefined
    const endless = workflow({ name: 'endless', input: z.object({}) }, async (ctx) => {
      await ctx.step('quick', () => 'kept')
      await ctx.step('endless', async ({ signal }) => {
        if (ctx.attempt !== 1 || running.isOpen) return
        running.open()
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve)
        })
        reasons.push(signal.reason, ctx.signal.reason)
      })
      if (reasons.length > 0 && late === undefined) {
        late = ctx.step('after the stop', () => 'never')
        await late
      }
      return 'finished'
    })
    const executor = await database.start(endless)
    const id = await database.client.enqueue(endless, {}, { organizationId })
    await running.opened
    await executor.stop({ timeout: 50 })
    await until('the handler has seen it', () => reasons.length === 2)
    expect(reasons).toEqual([expect.any(ExecutorStoppedError), expect.any(ExecutorStoppedError)])
    expect(executor.stats).toMatchObject({ claimed: 1, completed: 0, released: 1, fenced: 0, inFlight: 0 })
    expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0, last_error: null })
    expect((await steps(database, id)).map(({ node_id }) => node_id)).toEqual(['quick'])
    await untilNoSessions(database)

    await database.start(endless)
    await untilStatus(database, id, 'completed')
    expect((await execution(database, id)).retry_count).toBe(0)
  })

  test('does not wait for a transaction step that hangs in the database, and nothing of it is written', async () => {
    const organizationId = await database.organization()
    await database.query('create table held (id integer)')
    const running = gate()
    const hanging = workflow({ name: 'hanging', input: z.object({}) }, async (ctx) => {
      await ctx.transaction('hang', async (sql) => {
        await sql.query('insert into held values (1)')
        running.open()
        await sql.query('select pg_sleep(50)')
      })
    })
    const executor = await database.start(hanging)
    const id = await database.client.enqueue(hanging, {}, { organizationId })
    await running.opened
    await executor.stop({ timeout: 0 })
    expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0 })
    // The server would notice only when the query ends.
    expect(await terminate(database, 'fw steps')).toBe(1)
    await until('the session has ended', async () => (await sessions(database)).length === 0)
    expect(await database.query('select * from held')).toEqual([])
    expect(await steps(database, id)).toEqual([])
  })

  test('does not take back what has completed already, though it could not be said yet', async () => {
    const organizationId = await database.organization()
    const lock = await database.pool.connect()
    const quick = workflow({ name: 'quick', input: z.object({}) }, () => 'done')
    const running = gate()
    const go = gate()
    const held = workflow({ name: 'held', input: z.object({}) }, async (ctx) => {
      await ctx.step('wait', async () => {
        running.open()
        await go.opened
      })
      return 'done'
    })
    try {
      const executor = await database.start([quick, held])
      const id = await database.client.enqueue(held, {}, { organizationId })
      await running.opened
      // The report of its end waits for this lock, until after the stop has given up waiting.
      await lock.query('begin')
      await lock.query('select 1 from public.fw_worker_runs where finished_at is null for update')
      go.open()
      await sleep(100)
      const stopped = executor.stop({ timeout: 0 })
      await sleep(100)
      await lock.query('commit')
      await stopped
      expect(await execution(database, id)).toMatchObject({ status: 'completed', output: 'done' })
      expect(executor.stats).toMatchObject({ completed: 1, released: 0, fenced: 0 })
    } finally {
      lock.release(true)
    }
  })

  test('can be called again, at the same time or later, and waits as the first did', async () => {
    const executor = await database.start(nothing)
    await Promise.all([executor.stop(), executor.stop(), executor.stop({ timeout: 0 })])
    await untilNoSessions(database)
    await executor.stop()
  })

  test('before start leaves nothing open, and a stopped executor does not start', async () => {
    const executor = database.executor(nothing)
    await executor.stop()
    await expect(executor.start()).rejects.toThrow(UsageError)
    await untilNoSessions(database)
  })

  test('while it starts waits for the start and then closes everything', async () => {
    const executor = database.executor(nothing)
    const starting = executor.start()
    await executor.stop()
    await starting
    await untilNoSessions(database)
    expect(await database.query('select 1 from public.fw_executors where stopped_at is null')).toEqual([])
  })

  test('refuses a timeout that is none', async () => {
    const executor = await database.start(nothing)
    await expect(executor.stop({ timeout: 'soon' as '1s' })).rejects.toThrow(/the timeout of stop\(\) is 'soon'/)
  })
})

describe('start', () => {
  test('cannot be called twice', async () => {
    const executor = await database.start(nothing)
    await expect(executor.start()).rejects.toThrow(/this executor is running/)
  })

  test('fails where there is no schema, and leaves nothing open', async () => {
    const empty = await createDatabase({ template: 'template1' })
    try {
      const executor = new Executor({ connectionString: empty.url, workflows: [nothing] })
      await expect(executor.start()).rejects.toThrow(SchemaVersionError)
      await executor.stop()
      await untilNoSessions(empty)
    } finally {
      await empty.drop()
    }
  })

  test('fails where no server answers, with the error of the connection', async () => {
    const executor = new Executor({ connectionString: 'postgres://nobody@127.0.0.1:1/none', workflows: [nothing] })
    await expect(executor.start()).rejects.toThrow(/ECONNREFUSED/)
    await executor.stop()
  })
})

describe('an executor is not made', () => {
  const connectionString = 'postgres://127.0.0.1:1/none'
  test.each<[string, object]>([
    ['without workflows', { workflows: [] }],
    ['with two workflows of one name', { workflows: [nothing, nothing] }],
    ['with a concurrency of 0', { concurrency: 0 }],
    ['with a concurrency of 1.5', { concurrency: 1.5 }],
    ['with no lanes', { lanes: 0 }],
    ['with an empty pool', { poolSize: 0 }],
    ['with a poll interval that is none', { pollInterval: 'often' }],
  ])('%s', (_, options) => {
    expect(() => new Executor({ connectionString, workflows: [nothing], ...options })).toThrow(UsageError)
  })
})
