// What the small examples share: a Postgres of their own that goes with them (or the one that DATABASE_URL names), an executor,
// a client, and an organization whose worker is enabled.
import { Client, Executor, migrate, type Workflow } from 'durable-execution-worker'
import { startEmbeddedPostgres } from 'durable-execution-worker/embedded'
import pg from 'pg'
import { log } from './log.js'

export interface Demo {
  readonly pool: pg.Pool
  readonly client: Client
  readonly organizationId: string
}

/** Starts everything, tells the story, and closes what was started. The process ends with 1 when the story fails. */
export async function tell(workflows: readonly Workflow[], story: (demo: Demo) => Promise<void>): Promise<void> {
  const url = process.env['DATABASE_URL']
  const server = url === undefined ? await startEmbeddedPostgres() : undefined
  const connectionString = url ?? server?.databaseUrl ?? ''
  const pool = new pg.Pool({ connectionString })
  // A lost connection fails the query that meets it.
  pool.on('error', () => undefined)
  const executor = new Executor({ connectionString, workflows, logger: log })
  try {
    await migrate({ connectionString })
    await executor.start()
    const { rows } = await pool.query<{ id: string }>('select (fw_save_worker_settings(gen_random_uuid(), true)).organization_id as id')
    await story({ pool, client: new Client({ pool }), organizationId: rows[0]?.id ?? '' })
  } catch (error) {
    console.error(error)
    process.exitCode = 1
  } finally {
    await executor.stop({ timeout: '5s' })
    await pool.end()
    await server?.stop()
  }
}
