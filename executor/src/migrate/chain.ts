// Compares the history of migrations in a database with the chain of committed migrations of this package.
import { existsSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClientBase } from 'pg'
import { z } from 'zod'
import { ForeignMigrationsError, SchemaDivergedError, SchemaNewerError } from './errors.js'

export interface Migration {
  filename: string
  hash: string
}

/** The committed migrations of a folder, in order; none where there is no such folder. */
export async function committedChain(committedFolder: string): Promise<Migration[]> {
  if (!existsSync(committedFolder)) return []
  const files = (await readdir(committedFolder)).filter((file) => /^\d+.*\.sql$/.test(file)).sort()
  return Promise.all(
    files.map(async (filename) => {
      const hash = /^--! Hash: *(\S+)/m.exec(await readFile(join(committedFolder, filename), 'utf8'))?.[1]
      if (hash === undefined) throw new Error(`${filename} is no committed migration: it has no line "--! Hash:"`)
      return { filename, hash }
    }),
  )
}

const Rows = z.array(z.object({ filename: z.string(), hash: z.string() }))

/** What graphile-migrate has recorded in the database, in order; empty where it never ran. */
export async function recordedChain(client: ClientBase): Promise<Migration[]> {
  const found = await client.query("select 1 where to_regclass('graphile_migrate.migrations') is not null")
  if (found.rowCount === 0) return []
  const { rows } = await client.query('select filename, hash from graphile_migrate.migrations order by filename')
  return Rows.parse(rows)
}

/**
 * Refuses a history that isn't the start of ours.
 * @throws ForeignMigrationsError, SchemaNewerError or SchemaDivergedError
 */
export function refuseOtherHistory(recorded: readonly Migration[], ours: readonly Migration[]): void {
  const differing = recorded.findIndex(({ hash }, index) => hash !== ours[index]?.hash)
  const other = recorded[differing]
  if (other === undefined) return
  if (differing === 0) {
    throw new ForeignMigrationsError(
      'Another application of this database keeps its migrations with graphile-migrate ' +
        `(its first is ${other.filename}, ${other.hash}); ours would be mixed up with them.\n` +
        'Give this one a database of its own, or add the files of migrations/committed to that application as migrations ' +
        'of its own and apply the files below sql/functions, sql/cron, sql/privileges and sql/row_security, in this order, after each upgrade.',
    )
  }
  if (differing === ours.length) {
    throw new SchemaNewerError(
      `The database was migrated by a newer version (${recorded.length - ours.length} migrations more, up to ` +
        `${recorded.at(-1)?.filename ?? ''}). Upgrade the package durable-execution-worker.`,
    )
  }
  throw new SchemaDivergedError(
    `The database has another migration ${other.filename} than this package: it was migrated from an unreleased version. ` +
      'Use a new database, or the version that it was migrated with.',
  )
}
