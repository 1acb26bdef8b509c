// pg-boss: a job queue without steps. Settings: its pages "Workers" (batchSize, localConcurrency, burstWhenBatchFull,
// LISTEN/NOTIFY for low latency) and "Queues" (partition, notify). A batch that isn't full is handed over at once.
import pg from 'pg'
import { countOf } from './count-of.ts'
import { inBatches } from './in-batches.ts'
import { packageVersion } from './package-version.ts'
import type { Load, Session, System } from './system.ts'

const QUEUE = 'bench'
const BATCH = 1000
const FETCH = 1000
const WORKERS = 4

interface Data {
  readonly marker: number
}

async function install(url: string, load: Load): Promise<Session> {
  const { PgBoss } = await import('pg-boss')
  const latency = load.purpose === 'latency'
  const boss = new PgBoss({ connectionString: url, useListenNotify: latency, warningQueueSize: 1_000_000_000 })
  boss.on('error', (error) => process.stderr.write(`pg-boss: ${String(error)}\n`))
  await boss.start()
  await boss.createQueue(QUEUE, { partition: true, notify: latency })
  const pool = new pg.Pool({ connectionString: url, max: 1 })
  // A lost connection fails the query that meets it.
  pool.on('error', () => undefined)

  return {
    fill: async (count, batch = BATCH) => {
      await inBatches(count, batch, (first, size) => {
        const jobs = Array.from({ length: size }, (_, place) => ({ data: { marker: first + place } }))
        return boss.insert(QUEUE, jobs)
      })
    },
    enqueue: async (marker) => {
      await boss.send(QUEUE, { marker })
    },
    enqueueWithin: async (client, marker) => {
      const db = { executeSql: (text: string, values?: unknown[]) => client.query(text, values) }
      await boss.send(QUEUE, { marker }, { db })
    },
    work: async ({ started, finished }) => {
      await boss.work<Data>(
        QUEUE,
        {
          batchSize: FETCH,
          burstWhenBatchFull: true,
          localConcurrency: latency ? 1 : WORKERS,
          pollingIntervalSeconds: 0.5,
        },
        (jobs) => {
          for (const { data } of jobs) {
            started?.(data.marker)
            finished?.()
          }
          return Promise.resolve()
        },
      )
      return { stop: () => boss.offWork(QUEUE) }
    },
    unfinished: () =>
      countOf(pool, `select count(*) from pgboss.job where name = $1 and state <> 'completed'`, [QUEUE]),
    close: async () => {
      await boss.stop()
      await pool.end()
    },
  }
}

export const system: System = {
  name: 'pg-boss',
  version: packageVersion('pg-boss'),
  settings:
    `batchSize ${FETCH}, localConcurrency ${WORKERS}, burstWhenBatchFull, partition; latency and idle: ` +
    'notify, localConcurrency 1 (its pages "Workers" and "Queues"); batches by insert',
  steps: [0],
  install,
}
