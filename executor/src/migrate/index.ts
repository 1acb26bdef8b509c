// Brings a database to this version of the package: pgmq, the committed migrations, then functions and cron jobs.
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Logger, migrate as runGraphileMigrate } from 'graphile-migrate'
import { clearAllPools } from 'graphile-migrate/dist/pg.js'
import type pg from 'pg'
import { connectOwn, ownClient } from '../connections.js'
import { sqlState } from '../database-errors.js'
import { committedChain, recordedChain, refuseOtherHistory } from './chain.js'
import { ensurePgmq } from './pgmq.js'
import { mayReadHistory, requirePrivileges } from './privileges.js'
import { applySqlFiles, LOCK_TIMEOUT, sqlFiles } from './sql-files.js'

export * from './errors.js'

export interface MigrateOptions {
  /** A URL that names the database. Session-level: a pooler in transaction mode won't do. */
  connectionString: string
  /** Gets one line for each thing done. */
  log?: (line: string) => void
  /** The folder with migrations/ and sql/. Default: this package. */
  packageRoot?: string
  /**
   * For whoever develops the package: also run migrations/current.sql, not recorded, once on a new database. Default: false.
   */
  withCurrent?: boolean
}

export interface MigrateResult {
  /** Migrations that were not there before, by file name. */
  applied: string[]
  /** Files of sql/functions applied (all of them, every time). */
  functions: number
  /** Jobs given to pg_cron; 0 where the database has none of version 1.5 or later, or the role may not use it: executors run them then. */
  cronJobs: number
}

// From this file's folder, in src and in dist alike.
const PACKAGE_ROOT = fileURLToPath(new URL('../../../', import.meta.url))

const CURRENT = 'migrations/current.sql'

/** Any number will do that no other application uses. */
const MIGRATE_LOCK = '4639837259105530917'

/**
 * Migrates the database; safe to repeat, and to run from several places at once (one after the other).
 * @throws PgmqMissingError, PrivilegesMissingError, SchemaNewerError, SchemaDivergedError, ForeignMigrationsError, SqlFileError
 */
export async function migrate(options: MigrateOptions): Promise<MigrateResult> {
  const { connectionString, log = () => undefined, packageRoot = PACKAGE_ROOT } = options
  const client = ownClient({ connectionString, application_name: 'fw migrate' })
  await connectOwn(client)
  try {
    await lock(client, log)
    await ensurePgmq(client)
    const applied = await runMigrations(client, connectionString, packageRoot, log)
    const current = options.withCurrent === true && existsSync(join(packageRoot, CURRENT)) ? [CURRENT] : []
    await patiently(log, () => applySqlFiles(client, packageRoot, current))
    const functions = await sqlFiles(packageRoot, 'sql/functions')
    const jobs = await sqlFiles(packageRoot, 'sql/cron')
    const privileges = await sqlFiles(packageRoot, 'sql/privileges')
    await patiently(log, () => applySqlFiles(client, packageRoot, [...functions, ...jobs, ...privileges]))
    const cronJobs = jobs.length > 0 ? await installCronJobs(client) : 0
    log(`migrations applied: ${applied.length}, functions: ${functions.length}, cron jobs: ${cronJobs}`)
    return { applied, functions: functions.length, cronJobs }
  } finally {
    // Ends the session, and so the lock.
    await client.end().catch(() => undefined)
  }
}

async function runMigrations(
  client: pg.Client,
  connectionString: string,
  packageRoot: string,
  log: (line: string) => void,
): Promise<string[]> {
  const before = (await mayReadHistory(client)) ? await recordedChain(client) : []
  const chain = await committedChain(join(packageRoot, 'migrations', 'committed'))
  refuseOtherHistory(before, chain)
  const missing = chain.slice(before.length)
  await requirePrivileges(client, missing.length > 0)
  if (missing.length === 0) return []
  await patiently(log, () => runGraphile(client, connectionString, packageRoot, log))
  return missing.map(({ filename }) => filename)
}

async function untilGone(client: pg.Client, session: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const { rowCount } = await client.query('select from pg_stat_activity where application_name = $1', [session])
    if (rowCount === 0) return
    await sleep(10)
  }
}

/** Asks again and again: a session that waits inside pg_advisory_lock would hold up `create index concurrently`. */
async function lock(client: pg.Client, log: (line: string) => void): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    const { rows } = await client.query<{ locked: boolean }>('select pg_try_advisory_lock($1) as locked', [MIGRATE_LOCK])
    if (rows[0]?.locked === true) return
    if (attempt === 0) log('another migrate is at work on this database: waiting for it')
    await sleep(200)
  }
}

/** What was unscheduled or rescheduled by hand since an earlier migrate is left so. */
async function installCronJobs(client: pg.Client): Promise<number> {
  const found = await client.query('select where public.fw_may_use_pg_cron()')
  if (found.rowCount === 0) return 0
  const { rowCount } = await client.query('select from public.fw_install_cron_jobs(p_only_new => true)')
  return rowCount ?? 0
}

async function runGraphile(client: pg.Client, connectionString: string, packageRoot: string, log: (line: string) => void): Promise<void> {
  const session = `fw migrate ${randomUUID().slice(0, 8)}`
  try {
    await runGraphileMigrate({
      connectionString,
      // Never used to migrate, but checked: the default would come from the environment.
      rootConnectionString: 'template1',
      migrationsFolder: join(packageRoot, 'migrations'),
      pgSettings: { search_path: 'public', application_name: session, lock_timeout: LOCK_TIMEOUT },
      logger: new Logger(() => (level: string, message) => {
        log(level === 'info' ? message : `${level}: ${message}`)
      }),
    })
  } finally {
    // Its pools linger for a while, and end the process if the server goes away meanwhile: see their sessions out.
    clearAllPools()
    await untilGone(client, session)
  }
}

const LOCK_TROUBLES = new Set(['40P01', '55P03'])
const LONGEST_TRYING_MS = 120_000

/** Executors and clients go on meanwhile, and a deadlock with one of them may end our transaction instead of theirs: again then. */
async function patiently<Result>(log: (line: string) => void, work: () => Promise<Result>): Promise<Result> {
  const deadline = performance.now() + LONGEST_TRYING_MS
  for (;;) {
    try {
      return await work()
    } catch (error) {
      const state = sqlState(error) ?? sqlState(error instanceof Error ? error.cause : undefined)
      if (performance.now() > deadline || state === undefined || !LOCK_TROUBLES.has(state)) throw error
      log(`the locks could not be had beside the work that goes on (${state}): trying again`)
      await sleep(50 + 200 * Math.random())
    }
  }
}
