// `fw migrate`: brings the database to this version of the package.
import { type Command, Option } from 'commander'
import { migrate } from '../migrate/index.js'
import { addDatabaseOption, databaseUrl, type DatabaseOptions, withDatabase } from './database.js'
import { note, print } from './output.js'

export interface MigrateOptions {
  /** Also migrations/current.sql, once on a new database: for whoever develops this package. */
  withCurrent?: boolean
}

export function withCurrentOption(): Option {
  return new Option('--with-current', 'also run migrations/current.sql, once on a new database').hideHelp()
}

export function addMigrateCommand(program: Command): void {
  addDatabaseOption(program.command('migrate'))
    .summary('bring the database to this version')
    .description('Applies pgmq (where it is available), the migrations that are missing, and all functions. Safe to repeat.')
    .addOption(withCurrentOption())
    .action(async (options: DatabaseOptions & MigrateOptions) => {
      const applied = await migrateDatabase(databaseUrl(options), options)
      for (const migration of applied) print(`applied ${migration}`)
      print(applied.length === 0 ? 'up to date: no migration was missing' : 'up to date')
    })
}

/** Migrates, telling on standard error; returns the migrations that were missing. */
export async function migrateDatabase(url: string, options: MigrateOptions): Promise<string[]> {
  // For an error that says what is wrong with the connection.
  await withDatabase(url, () => Promise.resolve(), { setUp: false })
  const { applied } = await migrate({ connectionString: url, withCurrent: options.withCurrent ?? false, log: note })
  return applied
}
