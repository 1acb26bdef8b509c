// The demo behind `npm start`: 3,201 real and dirty records of movies, an execution each, an organization for each
// distributor, and a service that is down now and then. Read this first, then workflow.ts.
import { Client, Executor, migrate } from 'durable-execution-worker'
import pg from 'pg'
import { log } from '../log.js'
import { type Database, openDatabase } from './database.js'
import { HELP, type Options, readOptions } from './options.js'
import { printable } from './print.js'
import { untilFinished } from './progress.js'
import { type Organization, readOrganizations } from './records.js'
import { reportOn } from './report.js'
import { createMoviesTable, importMovie } from './workflow.js'

const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop.abort())

try {
  process.exitCode = await main(readOptions(process.argv.slice(2)))
} catch (error) {
  if (!stop.signal.aborted) console.error(error instanceof Error && error.message !== '' ? error.message : error)
  process.exitCode = stop.signal.aborted ? 130 : 1
}

async function main(options: Options): Promise<number> {
  if (options.help) {
    process.stdout.write(HELP)
    return 0
  }
  const database = await openDatabase(options)
  try {
    return await demo(database, options)
  } finally {
    await database.close()
  }
}

async function demo({ url, about, lookAtIt, afterStop }: Database, options: Options): Promise<number> {
  const organizations = await readOrganizations()
  const expected = organizations.reduce((sum, { records }) => sum + records.length, 0)
  const run = new Date().toISOString()

  console.log(`Database: ${about}`)
  await migrate({ connectionString: url })
  const pool = new pg.Pool({ connectionString: url })
  // A lost connection fails the query that meets it.
  pool.on('error', () => undefined)
  const executor = new Executor({ connectionString: url, workflows: [importMovie], logger: log })
  try {
    await createMoviesTable(pool)
    await executor.start()
    console.log(`Enqueueing ${expected} records of ${organizations.length} organizations`)
    await enqueue(pool, organizations, run)
    await untilFinished(pool, run, expected, stop.signal)
    await executor.stop()

    const report = await reportOn(pool, run, expected)
    console.log(`\n${printable(report)}\n`)
    for (const line of lookAtIt) console.log(line)
    console.log('  select * from fw_dlq;                      -- what failed for good, and why')
    console.log('  select fw_dlq_retry(msg_id) from fw_dlq;   -- another chance')
    console.log('  select * from fw_status();                 -- organization by organization')
    console.log('  select * from demo.movies;                 -- what the executions wrote')
    for (const problem of report.problems) console.error(`Something is off: ${problem}`)
    if (options.json) {
      const { executions, completed, dead_lettered, retried, organizations: enabled, seconds } = report.total
      console.log(JSON.stringify({ executions, completed, dead_lettered, retried, organizations: enabled, seconds }))
    }
    return report.problems.length === 0 ? 0 : 1
  } catch (error) {
    if (stop.signal.aborted) console.error(`Stopped. ${afterStop}`)
    throw error
  } finally {
    await executor.stop({ timeout: '5s' })
    await pool.end()
  }
}

/** Nothing runs for an organization before its worker is enabled. */
async function enqueue(pool: pg.Pool, organizations: readonly Organization[], run: string): Promise<void> {
  const client = new Client({ pool })
  for (const { id, name, records } of organizations) {
    stop.signal.throwIfAborted()
    await pool.query('select fw_save_worker_settings($1, true)', [id])
    await client.enqueueMany(importMovie, records, {
      organizationId: id,
      metadata: { run, distributor: name },
      idempotencyKeys: records.map((_, index) => `${run} ${index}`),
    })
  }
}
