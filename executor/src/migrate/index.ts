// Brings a database to this version of the package: pgmq, the committed migrations, then functions, indexes and cron jobs.
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { connectOwn, ownClient } from '../connections.js'
import { sqlState } from '../database-errors.js'
import { committedChain, recordedChain, refuseOtherHistory } from './chain.js'
import { MigrationFilesMissingError } from './errors.js'
import { noteGrants, tellTaken } from './grants.js'
import { makeIndexes } from './indexes.js'
import { ensurePgmq } from './pgmq.js'
import { mayReadHistory, requirePrivileges } from './privileges.js'
import { applyCommittingFile, applySqlFiles, LOCK_TIMEOUT, sqlFiles } from './sql-files.js'

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

/**
 * From this file's folder, in src and in dist alike. Found when it is needed: in a bundle this file may have no place.
 * @throws MigrationFilesMissingError
 */
function packageFolder(): string {
  try {
    return fileURLToPath(new URL('../../../', import.meta.url))
  } catch (error) {
    throw new MigrationFilesMissingError('this program, which cannot tell where it lies', { cause: error })
  }
}

const CURRENT = 'migrations/current.sql'

/** Any number will do that no other application uses. */
const MIGRATE_LOCK = '4639837259105530917'

/**
 * Migrates the database; safe to repeat, and to run from several places at once (one after the other).
 * @throws MigrationFilesMissingError, PgmqMissingError, PrivilegesMissingError, SchemaNewerError, SchemaDivergedError, ForeignMigrationsError, SqlFileError
 */
export async function migrate(options: MigrateOptions): Promise<MigrateResult> {
  const { connectionString, log = () => undefined, packageRoot = packageFolder() } = options
  await refuseMissingFiles(packageRoot)
  const client = ownClient({ connectionString, application_name: 'fw migrate' })
  await connectOwn(client)
  try {
    await lock(client, log)
    await ensurePgmq(client)
    const { applied, isNew } = await runMigrations(client, connectionString, packageRoot, log)
    const current = options.withCurrent === true && existsSync(join(packageRoot, CURRENT)) ? [CURRENT] : []
    await patiently(log, () => applySqlFiles(client, packageRoot, current))
    const functions = await sqlFiles(packageRoot, 'sql/functions')
    const jobs = await sqlFiles(packageRoot, 'sql/cron')
    const privileges = await sqlFiles(packageRoot, 'sql/privileges')
    const taken = await patiently(log, () => applySqlFiles(client, packageRoot, [...functions, ...jobs, ...privileges]))
    if (!isNew) tellTaken(taken, log)
    for (const file of await sqlFiles(packageRoot, 'sql/row_security')) await patiently(log, () => applyCommittingFile(client, packageRoot, file))
    await makeIndexes(client, packageRoot, log)
    const cronJobs = jobs.length > 0 ? await installCronJobs(client) : 0
    log(`migrations applied: ${applied.length}, functions: ${functions.length}, cron jobs: ${cronJobs}`)
    return { applied, functions: functions.length, cronJobs }
  } finally {
    // Ends the session, and so the lock.
    await client.end().catch(() => undefined)
  }
}

/** A chain without migrations, or no function at all, would be a success that has done nothing. */
async function refuseMissingFiles(packageRoot: string): Promise<void> {
  const chain = await committedChain(join(packageRoot, 'migrations', 'committed'))
  const functions = await sqlFiles(packageRoot, 'sql/functions')
  if (chain.length === 0 || functions.length === 0) throw new MigrationFilesMissingError(packageRoot)
}

async function runMigrations(
  client: pg.Client,
  connectionString: string,
  packageRoot: string,
  log: (line: string) => void,
): Promise<{ applied: string[]; isNew: boolean }> {
  const before = (await mayReadHistory(client)) ? await recordedChain(client) : []
  const chain = await committedChain(join(packageRoot, 'migrations', 'committed'))
  refuseOtherHistory(before, chain)
  const missing = chain.slice(before.length)
  await requirePrivileges(client, missing.length > 0)
  await noteGrants(client)
  if (missing.length > 0) await patiently(log, () => runGraphile(client, connectionString, packageRoot, log))
  return { applied: missing.map(({ filename }) => filename), isNew: before.length === 0 }
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
  // Only now: it does not survive being bundled.
  const { Logger, migrate: runGraphileMigrate } = await import('graphile-migrate')
  const { clearAllPools } = await import('graphile-migrate/dist/pg.js')
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
