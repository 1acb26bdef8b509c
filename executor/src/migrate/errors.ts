// Why a database can't be migrated: each error names its cause and what to do about it.
import { WorkerError } from '../errors.js'

/** The server doesn't offer the extension pgmq, or we may not create it. */
export class PgmqMissingError extends WorkerError {
  constructor(message: string, options?: ErrorOptions) {
    super('PGMQ_MISSING', message, options)
  }
}

/** The migrations and functions of this package are not where they are looked for: the package was bundled, say, and its files were left behind. */
export class MigrationFilesMissingError extends WorkerError {
  constructor(folder: string, options?: ErrorOptions) {
    super(
      'MIGRATION_FILES_MISSING',
      `there are no migrations and functions in ${folder}, so nothing was migrated. If this program is a bundle, leave durable-execution-worker ` +
        'out of it (as an external package), run `npx fw migrate` instead, or copy the folders migrations/committed and sql of the package and ' +
        'name the folder that holds them as the option packageRoot of migrate().',
      options,
    )
  }
}

/** The role lacks privileges that migrating needs; nothing was changed. */
export class PrivilegesMissingError extends WorkerError {
  /** What grants them, for whoever may: all that is missing. */
  readonly statements: readonly string[]

  constructor(role: string, database: string, statements: readonly string[]) {
    super(
      'PRIVILEGES_MISSING',
      `Role ${role} may not migrate database ${database}; nothing was changed. Let a superuser (or the owner that your provider gives you) ` +
        `run in this database:\n${statements.map((statement) => `  ${statement}`).join('\n')}\nThen migrate again.`,
    )
    this.statements = statements
  }
}

/** The database was migrated by a newer version of this package. */
export class SchemaNewerError extends WorkerError {
  constructor(message: string, options?: ErrorOptions) {
    super('SCHEMA_NEWER', message, options)
  }
}

/** The database's migrations started like ours, and then went another way. */
export class SchemaDivergedError extends WorkerError {
  constructor(message: string, options?: ErrorOptions) {
    super('SCHEMA_DIVERGED', message, options)
  }
}

/** Another application keeps its own graphile-migrate history in this database. */
export class ForeignMigrationsError extends WorkerError {
  constructor(message: string, options?: ErrorOptions) {
    super('FOREIGN_MIGRATIONS', message, options)
  }
}

/** A file below sql/ failed; the transaction it was part of is rolled back. */
export class SqlFileError extends WorkerError {
  /** Relative to the package. */
  readonly file: string

  constructor(file: string, line: number | undefined, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    super('SQL_FILE_FAILED', `${file}${line === undefined ? '' : `:${line}`}: ${reason}`, { cause })
    this.file = file
  }
}
