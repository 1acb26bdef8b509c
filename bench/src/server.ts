// The one Postgres that everything is measured on: embedded, on this machine, with the same settings for every system.
// Each case gets a database of its own in it, empty but for the extension pgmq, or a copy of one that was kept.
import { statfs } from 'node:fs/promises'
import { type EmbeddedPostgres, startEmbeddedPostgres } from 'durable-execution-worker/embedded'
import pg from 'pg'
import { inDatabase } from './cases/measuring.ts'

/** Equal for all. Durability is Postgres' default; checkpoints are asked for before each measurement, not met by chance. */
const SETTINGS: Readonly<Record<string, string>> = {
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  shared_buffers: '1GB',
  max_wal_size: '8GB',
  checkpoint_timeout: '30min',
  max_connections: '200',
  jit: 'off',
  // Counts the statements of the idle case; elsewhere it counts none.
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.track': 'none',
}

const TMPFS = 0x01021994

export interface Server {
  /** One line: version and settings. */
  readonly about: string
  /** Makes an empty database with pgmq, or a copy of a kept one; returns its URL. */
  createDatabase(name: string, copyOf?: string): Promise<string>
  dropDatabase(name: string): Promise<void>
  stop(): Promise<void>
}

/** Starts the server in a temporary folder, removed by stop(). */
export async function startServer(): Promise<Server> {
  const embedded = await startEmbeddedPostgres({ settings: SETTINGS })
  try {
    return await serverOn(embedded)
  } catch (error) {
    await embedded.stop()
    throw error
  }
}

async function serverOn(embedded: EmbeddedPostgres): Promise<Server> {
  const admin = new pg.Client({ connectionString: embedded.databaseUrl })
  // The loss of the server is met by the next statement.
  admin.on('error', () => undefined)
  await admin.connect()
  const { rows } = await admin.query<{ version: string }>(`select current_setting('server_version') as version`)
  await admin.query('create extension pg_stat_statements')
  const settings = Object.entries(SETTINGS).map(([name, value]) => `${name}=${value}`)
  const { type } = await statfs(embedded.dataDir)
  return {
    about: [
      `PostgreSQL ${rows[0]?.version ?? '?'}, ${settings.join(' ')}`,
      ...(type === TMPFS ? ['(its data is in memory, so fsync costs nothing here: set TMPDIR to a folder on a disk)'] : []),
    ].join(' '),
    createDatabase: async (name, copyOf) => {
      await admin.query(`create database ${pg.escapeIdentifier(name)}
        ${copyOf === undefined ? '' : `template ${pg.escapeIdentifier(copyOf)} strategy file_copy`}`)
      const url = new URL(embedded.databaseUrl)
      url.pathname = name
      if (copyOf === undefined) await inDatabase(url.href, (client) => client.query('create extension pgmq'))
      return url.href
    },
    dropDatabase: async (name) => {
      await admin.query(`drop database if exists ${pg.escapeIdentifier(name)} with (force)`)
    },
    stop: async () => {
      try {
        await admin.end()
      } finally {
        await embedded.stop()
      }
    },
  }
}
