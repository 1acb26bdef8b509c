import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { Client } from '../../src/client.js'
import { startEmbeddedPostgres } from '../../src/embedded/index.js'
import { Executor } from '../../src/executor.js'
import { migrate } from '../../src/migrate/index.js'
import { workflow } from '../../src/workflow.js'
import { pino } from 'pino'
import { executorDatabase, sessions, statuses, terminate, until, untilFinished, untilNoSessions } from '../support/executor.js'
import { expectInvariantsZero } from '../support/database.js'
import { enqueue, organization, type Queryable } from '../support/sql.js'

const database = executorDatabase()

/** Three steps that say what they did to memory, so that a step that runs twice shows, whatever the database goes through. */
function remembering(name: string) {
  const ran: string[] = []
  const made = workflow({ name, input: z.object({}), retry: { maxAttempts: 20, backoff: { initial: 5, max: 50 } } }, async (ctx) => {
    for (const step of ['a', 'b', 'c']) {
      await ctx.step(step, async () => {
        await sleep(20 * Math.random())
        ran.push(`${ctx.executionId} ${step}`)
      })
    }
    return ctx.attempt
  })
  return { made, ran }
}

test('sessions that the server ends while work runs: everything completes, and no step runs twice', async () => {
  const organizationId = await database.organization({ batchSize: 50, concurrency: 4 })
  const { made, ran } = remembering('terminated')
  await enqueue(database, 'terminated', organizationId, 1000)
  const executor = await database.start(made)
  const ended = { 'fw executor': 0, 'fw listener': 0 }
  let rounds = 0
  while ((await statuses(database, 'terminated')).live > 0) {
    const name = rounds++ % 3 === 0 ? 'fw listener' : 'fw executor'
    ended[name] += await terminate(database, name)
    await sleep(60)
  }
  expect(ended['fw executor']).toBeGreaterThan(3)
  expect(ended['fw listener']).toBeGreaterThan(0)
  expect(await statuses(database, 'terminated')).toEqual({ live: 0, completed: 1000, failed: 0 })
  expect(ran.length).toBe(3000)
  expect(new Set(ran).size).toBe(3000)
  await until('the executor has heard it all', () => executor.stats.inFlight === 0)
})

test('transaction steps whose sessions the server ends are retried, and are done exactly once', async () => {
  const organizationId = await database.organization()
  await database.query('create table ledger (execution_id uuid)')
  const booking = workflow({ name: 'booking', input: z.object({}), retry: { maxAttempts: 50, backoff: { initial: 5, max: 50 } } }, async (ctx) => {
    await ctx.transaction('book', async (sql) => {
      await sql.query('insert into ledger values ($1)', [ctx.executionId])
      await sleep(10)
    })
  })
  await enqueue(database, 'booking', organizationId, 200)
  const executor = await database.start(booking)
  while ((await statuses(database, 'booking')).live > 0) {
    await terminate(database, 'fw steps')
    await sleep(50)
  }
  expect(await statuses(database, 'booking')).toEqual({ live: 0, completed: 200, failed: 0 })
  expect((await database.query('select distinct execution_id from ledger')).length).toBe(200)
  expect((await database.query('select execution_id from ledger')).length).toBe(200)
  expect(executor.stats.retried).toBeGreaterThan(0)
})

test('the server restarts while work runs: everything completes, no step runs twice, and the listener listens again', async () => {
  const first = await startEmbeddedPostgres({ settings: { fsync: 'off' }, persistent: true })
  const { dataDir, port, databaseUrl } = first
  let server = first
  const pool = new pg.Pool({ connectionString: databaseUrl })
  pool.on('error', () => undefined)
  const on: Queryable = { query: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => (await pool.query<Row>(text, values)).rows }
  const { made, ran } = remembering('restarted')
  const executor = new Executor({ connectionString: databaseUrl, workflows: [made], pollInterval: '1h', logger: pino({ level: 'silent' }) })
  const client = new Client({ connectionString: databaseUrl })
  try {
    await migrate({ connectionString: databaseUrl, withCurrent: true })
    const organizationId = await organization(on, { batchSize: 50, concurrency: 4 })
    await enqueue(on, 'restarted', organizationId, 1500)
    await executor.start()
    for (let restart = 0; restart < 2; restart++) {
      const already = ran.length
      await until('work goes on', () => ran.length > already + 300)
      await server.stop()
      await sleep(400)
      server = await startEmbeddedPostgres({ dataDir, port, settings: { fsync: 'off' } })
    }
    await untilFinished(on, 'restarted', 60)
    expect(await statuses(on, 'restarted')).toEqual({ live: 0, completed: 1500, failed: 0 })
    expect(ran.length).toBe(4500)
    expect(new Set(ran).size).toBe(4500)
    await until('the listener is back', async () => (await sessions(on)).includes('fw listener'))
    await until('the executor is idle', async () => (await on.query('select 1 from public.fw_executors where wants_work')).length === 1)
    const id = await client.enqueue(made, {}, { organizationId })
    expect(await client.result(id, { timeout: '20s' })).toBe(1)
    await executor.stop()
    await expectInvariantsZero(pool)
    await client.close()
    await untilNoSessions(on)
  } finally {
    await executor.stop({ timeout: 0 })
    await client.close()
    await pool.end()
    await server.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}, 180_000)
