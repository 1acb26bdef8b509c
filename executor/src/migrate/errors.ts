// Why a database can't be migrated: each error names its cause and what to do about it.

/** The server doesn't offer the extension pgmq, or we may not create it. */
export class PgmqMissingError extends Error {
  readonly code = 'PGMQ_MISSING'
  override readonly name = 'PgmqMissingError'
}

/** The database was migrated by a newer version of this package. */
export class SchemaNewerError extends Error {
  readonly code = 'SCHEMA_NEWER'
  override readonly name = 'SchemaNewerError'
}

/** The database's migrations started like ours, and then went another way. */
export class SchemaDivergedError extends Error {
  readonly code = 'SCHEMA_DIVERGED'
  override readonly name = 'SchemaDivergedError'
}

/** Another application keeps its own graphile-migrate history in this database. */
export class ForeignMigrationsError extends Error {
  readonly code = 'FOREIGN_MIGRATIONS'
  override readonly name = 'ForeignMigrationsError'
}

/** A file below sql/ failed; the transaction it was part of is rolled back. */
export class SqlFileError extends Error {
  readonly code = 'SQL_FILE_FAILED'
  override readonly name = 'SqlFileError'
  /** Relative to the package. */
  readonly file: string

  constructor(file: string, line: number | undefined, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    super(`${file}${line === undefined ? '' : `:${line}`}: ${reason}`, { cause })
    this.file = file
  }
}
