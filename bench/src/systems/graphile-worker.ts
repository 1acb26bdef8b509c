// graphile-worker: a job queue without steps. Settings: its page "Performance" ("Quick stats": 24 jobs at once, local
// queue of 500, completions batched), which are those of its own load and latency tests.
import pg from 'pg'
import { countOf } from './count-of.ts'
import { inBatches } from './in-batches.ts'
import { packageVersion } from './package-version.ts'
import type { Session, System } from './system.ts'

const TASK = 'bench'
const CONCURRENT_JOBS = 24
const LOCAL_QUEUE = 500
const BATCH = 1000

const addOne = `select graphile_worker.add_job('${TASK}', json_build_object('marker', $1::int))`

async function install(url: string): Promise<Session> {
  const { Logger, makeWorkerUtils, run } = await import('graphile-worker')
  const logger = new Logger(() => (level, message) => {
    if (level === 'error') process.stderr.write(`graphile-worker: ${message}\n`)
  })
  const preset: GraphileConfig.Preset = {
    worker: {
      connectionString: url,
      logger,
      concurrentJobs: CONCURRENT_JOBS,
      maxPoolSize: CONCURRENT_JOBS + 1,
      localQueue: { size: LOCAL_QUEUE },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  }
  const utils = await makeWorkerUtils({ preset })
  await utils.migrate()
  const pool = new pg.Pool({ connectionString: url, max: 4 })
  // A lost connection fails the query that meets it.
  pool.on('error', () => undefined)

  return {
    fill: async (count, batch = BATCH) => {
      await inBatches(count, batch, (first, size) =>
        utils.addJobs(Array.from({ length: size }, (_, i) => ({ identifier: TASK, payload: { marker: first + i } }))),
      )
    },
    enqueue: async (marker) => {
      await utils.addJob(TASK, { marker })
    },
    enqueueWithin: async (client, marker) => {
      await client.query(addOne, [marker])
    },
    work: async ({ started, finished }) => {
      const runner = await run({
        preset,
        noHandleSignals: true,
        taskList: {
          [TASK]: (payload) => {
            started?.(markerOf(payload))
            finished?.()
          },
        },
      })
      return { stop: () => runner.stop() }
    },
    unfinished: () => countOf(pool, 'select count(*) from graphile_worker._private_jobs'),
    close: async () => {
      await utils.release()
      await pool.end()
    },
  }
}

function markerOf(payload: unknown): number {
  if (typeof payload === 'object' && payload !== null && 'marker' in payload) return Number(payload.marker)
  throw new Error('a job without a marker')
}

export const system: System = {
  name: 'graphile-worker',
  version: packageVersion('graphile-worker'),
  settings:
    `concurrentJobs ${CONCURRENT_JOBS}, localQueue.size ${LOCAL_QUEUE}, completeJobBatchDelay 0, as in its ` +
    'page "Performance"; batches by addJobs',
  steps: [0],
  install,
}
