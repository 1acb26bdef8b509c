// The product itself, through its public API.
import { Client, Executor, migrate, workflow } from 'durable-execution-worker'
import pg from 'pg'
import { z } from 'zod'
import { inDatabase } from '../cases/measuring.ts'
import { inBatches } from './in-batches.ts'
import { packageVersion } from './package-version.ts'
import type { Load, Session, System, Worker } from './system.ts'

const THROUGHPUT_CONCURRENCY = 2000
const FILL_BATCH = 5000
const MANY_ORGANIZATIONS = 200
const COUNT_EVERY_MS = 2

/** What only the cases about the product itself ask for. */
export interface OwnOptions {
  /** Organizations that the work is spread over. Default: 1. */
  organizations?: number
  /** Organizations that are enabled in all. Default: those with work. */
  enabled?: number
  /** Batch size 10 and one slot, as the guide's defaults are, in place of 50 and 100. */
  guideDefaults?: boolean
}

export interface OwnSession extends Session {
  readonly pool: pg.Pool
  /** Those with work. */
  readonly organizations: readonly string[]
  /** Enqueues executions that must not start today. */
  sleep(count: number): Promise<void>
  /** Enqueues for an organization of the caller's choice. */
  fillFor(organizationId: string, count: number): Promise<void>
  setEnabled(organizationId: string, enabled: boolean): Promise<void>
  /** Enqueues one within the caller's transaction. */
  enqueueFor(transaction: pg.ClientBase, organizationId: string): Promise<void>
}

export const system: System = {
  name: 'durable-execution-worker',
  version: packageVersion('durable-execution-worker'),
  settings: `batch 50, 100 slots, one executor with concurrency ${THROUGHPUT_CONCURRENCY}, one organization; latency and idle: an executor as it is by default`,
  steps: [0, 1, 3, 10],
  install: (url, load) => open(url, load),
}

/** @param number from 1 */
export function organization(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
}

/** Installs the product on the database, or opens it where it is installed. */
export async function open(url: string, load: Load, options: OwnOptions = {}): Promise<OwnSession> {
  await migrate({ connectionString: url })
  const pool = new pg.Pool({ connectionString: url, max: 12 })
  // A lost connection fails the query that meets it.
  pool.on('error', () => undefined)
  const client = new Client({ connectionString: url })
  const organizations = Array.from({ length: options.organizations ?? 1 }, (_, place) => organization(place + 1))
  await pool.query(
    `insert into fw_module_settings (organization_id, fw_execution_worker_enabled)
     select id, true from unnest($1::uuid[]) id on conflict (organization_id) do nothing`,
    [Array.from({ length: Math.max(options.enabled ?? 0, organizations.length) }, (_, place) => organization(place + 1))],
  )
  if (options.guideDefaults !== true) {
    await pool.query('update fw_module_settings set fw_worker_batch_size = 50, fw_worker_concurrency = 100')
  }

  let on: Parameters<Session['work']>[0] = {}
  const bench = workflow({ name: 'bench', input: z.object({ marker: z.number() }) }, async (ctx, { marker }) => {
    if (load.steps === 0) on.started?.(marker)
    let result = marker
    for (let step = 1; step <= load.steps; step++) {
      result = await ctx.step(`step ${step}`, () => {
        if (step === 1) on.started?.(marker)
        return result + 1
      })
    }
    return result
  })

  const fillFor = (organizationId: string, count: number, batch = FILL_BATCH, delay = 0) =>
    inBatches(count, batch, (first, size) => {
      const inputs = Array.from({ length: size }, (_, place) => ({ marker: first + place }))
      return client.enqueueMany(bench, inputs, { organizationId, delay })
    })
  const spread = async (count: number, batch?: number, delay?: number) => {
    const shares = organizations.map(
      (_, place) => Math.floor((count * (place + 1)) / organizations.length) - Math.floor((count * place) / organizations.length),
    )
    if (organizations.length <= MANY_ORGANIZATIONS) {
      for (const [place, id] of organizations.entries()) await fillFor(id, shares[place] ?? 0, batch, delay)
      return
    }
    // A call for each organization, many calls in a statement.
    for (let first = 0; first < organizations.length; first += MANY_ORGANIZATIONS) {
      await pool.query(
        `select count(*) from unnest($2::uuid[], $3::int[]) as o (id, share),
           lateral (select fw_enqueue_many($1, array(select jsonb_build_object('marker', i) from generate_series(1, o.share) i), o.id,
             p_delay => make_interval(secs => $4))) e`,
        [
          bench.name,
          organizations.slice(first, first + MANY_ORGANIZATIONS),
          shares.slice(first, first + MANY_ORGANIZATIONS),
          (delay ?? 0) / 1000,
        ],
      )
    }
  }

  return {
    pool,
    organizations,
    fill: (count, batch) => spread(count, batch),
    fillFor: (organizationId, count) => fillFor(organizationId, count),
    sleep: (count) => spread(count, FILL_BATCH, 24 * 60 * 60 * 1000),
    setEnabled: async (organizationId, enabled) => {
      await pool.query('select fw_save_worker_settings($1, $2)', [organizationId, enabled])
    },
    enqueue: async (marker) => {
      await client.enqueue(bench, { marker }, { organizationId: organization(1) })
    },
    enqueueWithin: async (transaction, marker) => {
      await client.enqueue(bench, { marker }, { organizationId: organization(1), transaction })
    },
    enqueueFor: async (transaction, organizationId) => {
      await client.enqueue(bench, { marker: 0 }, { organizationId, transaction })
    },
    work: async (callbacks) => {
      on = callbacks
      const throughput = load.purpose === 'latency' ? {} : { concurrency: THROUGHPUT_CONCURRENCY }
      return await startWorker(new Executor({ connectionString: url, workflows: [bench], ...throughput }), callbacks.finished)
    },
    unfinished: async () => {
      // Sleepers are for tomorrow; a lease is never that long.
      const { rows } = await pool.query<{ count: number }>(
        `select count(*)::int as count from pgmq.q_workflow_execution_queue where vt < now() + interval '1 hour'`,
      )
      return rows[0]?.count ?? Number.NaN
    },
    close: async () => {
      await client.close()
      await pool.end()
    },
  }
}

/** Enables the organization and enqueues one more for it, which wakes the worker. Returns the time just before the commit. */
export async function switchOn(session: OwnSession, url: string, organizationId: string): Promise<number> {
  return await inDatabase(url, async (client) => {
    await client.query('begin')
    await client.query('select fw_save_worker_settings($1, true)', [organizationId])
    await session.enqueueFor(client, organizationId)
    const start = performance.now()
    await client.query('commit')
    return start
  })
}

/** `finished` follows the executor's own count of completions that the database has taken. */
async function startWorker(executor: Executor, finished: (() => void) | undefined): Promise<Worker> {
  await executor.start()
  let told = 0
  const timer =
    finished === undefined
      ? undefined
      : setInterval(() => {
          for (; told < executor.stats.completed; told++) finished()
        }, COUNT_EVERY_MS)
  return {
    stop: async () => {
      clearInterval(timer)
      await executor.stop()
    },
  }
}
