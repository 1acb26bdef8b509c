import { rm } from 'node:fs/promises'
import pg from 'pg'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { Client } from '../../src/client.js'
import { startEmbeddedPostgres } from '../../src/embedded/index.js'
import { Executor } from '../../src/executor.js'
import { migrate } from '../../src/migrate/index.js'
import { workflow } from '../../src/workflow.js'
import { expectInvariantsZero } from '../support/database.js'
import { startProxy } from '../support/proxy.js'
import { organization, type Queryable } from '../support/sql.js'

test('the server crashes and restarts while transactions are committed: each execution books once, and none fails', async () => {
  const first = await startEmbeddedPostgres({ settings: { fsync: 'off' }, persistent: true })
  const { dataDir, port, databaseUrl } = first
  let server = first
  const pool = new pg.Pool({ connectionString: databaseUrl })
  pool.on('error', () => undefined)
  const on: Queryable = { query: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => (await pool.query<Row>(text, values)).rows }
  let commits = 0
  const crashes: Promise<void>[] = []
  const crash = async () => {
    // As at a power cut: nothing is ended in good order.
    process.kill(server.pid, 'SIGQUIT')
    await server.stop()
    server = await startEmbeddedPostgres({ dataDir, port, settings: { fsync: 'off' } })
  }
  const proxy = await startProxy(databaseUrl, (sent, by) => {
    if (by.application !== 'fw steps' || !/^Q[^]{4}commit\0$/.test(sent)) return undefined
    if (++commits === 20 || commits === 60) crashes.push(crash())
    return commits % 2 === 0 ? 'answer' : undefined
  })
  const booking = workflow({ name: 'booking', input: z.object({ id: z.int() }), retry: { backoff: { initial: 10 } } }, async (ctx, { id }) => {
    await ctx.transaction('book', (sql) => sql.query('insert into ledger values ($1)', [id]))
  })
  const executor = new Executor({ connectionString: proxy.url, workflows: [booking], logger: pino({ level: 'silent' }) })
  const client = new Client({ connectionString: databaseUrl })
  try {
    await migrate({ connectionString: databaseUrl, withCurrent: true })
    await on.query('create table ledger (id integer)')
    const organizationId = await organization(on, { batchSize: 50, concurrency: 4 })
    const ids = await client.enqueueMany(booking, Array.from({ length: 100 }, (_, id) => ({ id })), { organizationId })
    await executor.start()
    const ended = await Promise.all(ids.map(async (id) => {
      for (;;) {
        const result = await client.result(id).then(() => 'completed', (error: unknown) => (error as { code?: string }).code)
        if (result === 'completed' || result === 'EXECUTION_FAILED') return result
        // The server was away.
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }))
    expect(crashes.length).toBe(2)
    expect(new Set(ended)).toEqual(new Set(['completed']))
    expect(await on.query('select count(*)::integer as rows, count(distinct id)::integer as ids from ledger')).toEqual([{ rows: 100, ids: 100 }])
    await executor.stop()
    await expectInvariantsZero(pool)
  } finally {
    await Promise.all(crashes)
    await executor.stop({ timeout: 0 })
    await client.close()
    await pool.end()
    await proxy.close()
    await server.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}, 120_000)
