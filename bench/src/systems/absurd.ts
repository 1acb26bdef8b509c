// absurd: durable tasks of steps. Settings: its page "TypeScript SDK" ("Starting a Worker": concurrency, batchSize,
// pollInterval). Its SQL file isn't in its package: ABSURD_SQL names it; without that absurd is left out.
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { countOf } from './count-of.ts'
import { inBatches } from './in-batches.ts'
import { packageVersion } from './package-version.ts'
import type { Load, Session, System } from './system.ts'

const QUEUE = 'bench'
const TASK = 'bench'
const BATCH = 1000
const CONCURRENCY = 50
const POOL = 20
const LATENCY_POLL_SECONDS = 0.005

const spawnMany = `select count(*) from generate_series($1::int, $2::int) marker,
  absurd.spawn_task('${QUEUE}', '${TASK}', jsonb_build_object('marker', marker))`

/** Why absurd can't be measured here, or undefined where it can. */
export function missing(): string | undefined {
  if (process.env['ABSURD_SQL'] !== undefined) return undefined
  return 'its npm package comes without its SQL: set ABSURD_SQL to the path of absurd.sql of the same release'
}

/** Version that the SQL file gives itself: 'main' in one between two releases. */
function sqlVersion(): string | undefined {
  const file = process.env['ABSURD_SQL']
  if (file === undefined) return undefined
  return /function absurd\.get_schema_version[^;]*?select '([^']+)'/.exec(readFileSync(file, 'utf8'))?.[1]
}

async function install(url: string, load: Load): Promise<Session> {
  const file = process.env['ABSURD_SQL']
  if (file === undefined) throw new Error(`absurd is left out: ${missing()}`)
  const { Absurd } = await import('absurd-sdk')
  const latency = load.purpose === 'latency'
  const pool = new pg.Pool({ connectionString: url, max: POOL })
  // A lost connection fails the query that meets it.
  pool.on('error', () => undefined)
  await pool.query(readFileSync(file, 'utf8'))
  const app = new Absurd({ db: pool, queueName: QUEUE })
  await app.createQueue(QUEUE)

  return {
    fill: async (count, batch = BATCH) => {
      await inBatches(count, batch, (first, size) => pool.query(spawnMany, [first, first + size - 1]))
    },
    enqueue: async (marker) => {
      await app.spawn(TASK, { marker }, { queue: QUEUE })
    },
    enqueueWithin: async (client, marker) => {
      await app.bindToConnection(client).spawn(TASK, { marker }, { queue: QUEUE })
    },
    work: async ({ started, finished }) => {
      app.registerTask<{ marker: number }, number>({ name: TASK }, async ({ marker }, ctx) => {
        for (let step = 0; step < load.steps; step++) {
          await ctx.step(`step-${step}`, () => {
            if (step === 0) started?.(marker)
            return Promise.resolve(step)
          })
        }
        finished?.()
        return load.steps
      })
      const worker = await app.startWorker({
        concurrency: CONCURRENCY,
        ...(latency ? { pollInterval: LATENCY_POLL_SECONDS } : {}),
        onError: (error) => process.stderr.write(`absurd: ${error.message}\n`),
      })
      return { stop: () => worker.close() }
    },
    unfinished: () => countOf(pool, `select count(*) from absurd.t_${QUEUE} where state <> 'completed'`),
    close: async () => {
      await app.close()
      await pool.end()
    },
  }
}

export const system: System = {
  name: 'absurd',
  get version() {
    const sdk = packageVersion('absurd-sdk')
    const sql = sqlVersion()
    return sql === undefined ? sdk : `${sdk}, SQL ${sql}`
  },
  settings:
    `concurrency and batchSize ${CONCURRENCY}, pool of ${POOL}; latency and idle: pollInterval ` +
    `${LATENCY_POLL_SECONDS} (its page "TypeScript SDK"); batches by its SQL function spawn_task`,
  steps: [1, 3, 10],
  install,
}
