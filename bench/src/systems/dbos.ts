// DBOS Transact: durable workflows of steps through a queue. Settings: its pages "Queues" (workerConcurrency,
// minPollingIntervalMs) and "Configuration" (systemDatabasePoolSize); batches go in by its documented SQL function.
import pg from 'pg'
import { countOf } from './count-of.ts'
import { inBatches } from './in-batches.ts'
import { packageVersion } from './package-version.ts'
import type { Load, Session, System } from './system.ts'

const APP = 'bench'
const QUEUE = 'bench'
const WORKFLOW = 'bench'
const BATCH = 1000
const WORKER_CONCURRENCY = 100
const POLL_MS = { throughput: 10, latency: 5 }
const POOL = 20

/** Lets only errors through: DBOS would write a line for each start. */
const logger = {
  info: () => {},
  debug: () => {},
  warn: () => {},
  error: (entry: unknown) => void process.stderr.write(`dbos: ${String(entry)}\n`),
}

const enqueueMany = `select count(dbos.enqueue_workflow(
  workflow_name => '${WORKFLOW}', queue_name => '${QUEUE}', application_name => '${APP}',
  positional_args => array[to_json(marker)])) from generate_series($1::int, $2::int) marker`

async function install(url: string, load: Load): Promise<Session> {
  const { DBOS, DBOSClient } = await import('@dbos-inc/dbos-sdk')
  const configure = (runMigrations: boolean): void =>
    DBOS.setConfig({
      name: APP,
      systemDatabaseUrl: url,
      systemDatabasePoolSize: POOL,
      applicationVersion: '1',
      runMigrations,
      logger,
    })
  // A launch installs the schema as DBOS.migrate would, which writes to the standard output.
  configure(true)
  await DBOS.launch()
  await DBOS.shutdown()
  const client = await DBOSClient.create({ systemDatabaseUrl: url, applicationName: APP, logger })
  await client.registerQueue(QUEUE, {
    minPollingIntervalMs: POLL_MS[load.purpose ?? 'throughput'],
    workerConcurrency: WORKER_CONCURRENCY,
    onConflict: 'always_update',
  })
  const pool = new pg.Pool({ connectionString: url, max: 4 })
  // A lost connection fails the query that meets it.
  pool.on('error', () => undefined)
  const which = { queueName: QUEUE, workflowName: WORKFLOW }

  return {
    fill: async (count, batch = BATCH) => {
      await inBatches(count, batch, (first, size) => pool.query(enqueueMany, [first, first + size - 1]))
    },
    enqueue: async (marker) => {
      await client.enqueue(which, marker)
    },
    enqueueWithin: async (transaction, marker) => {
      await client.enqueueInTransaction(transaction, which, marker)
    },
    work: async ({ started, finished }) => {
      configure(false)
      DBOS.registerWorkflow(
        async (marker: number) => {
          for (let step = 0; step < load.steps; step++) {
            await DBOS.runStep(
              () => {
                if (step === 0) started?.(marker)
                return Promise.resolve(step)
              },
              { name: `step-${step}` },
            )
          }
          finished?.()
          return load.steps
        },
        { name: WORKFLOW },
      )
      await DBOS.launch()
      return { stop: () => DBOS.shutdown({ deregister: true, workflowCompletionTimeoutMS: 60_000 }) }
    },
    unfinished: () =>
      countOf(pool, `select count(*) from dbos.workflow_status where queue_name = $1 and status <> 'SUCCESS'`, [QUEUE]),
    close: async () => {
      await client.destroy()
      await pool.end()
    },
  }
}

export const system: System = {
  name: 'dbos',
  version: packageVersion('@dbos-inc/dbos-sdk'),
  settings:
    `queue with workerConcurrency ${WORKER_CONCURRENCY}, minPollingIntervalMs ${POLL_MS.throughput} (latency ` +
    `and idle: ${POLL_MS.latency}), systemDatabasePoolSize ${POOL} (its pages "Queues" and "Configuration"); ` +
    'batches by its SQL function enqueue_workflow',
  steps: [1, 3, 10],
  install,
}
