// Applies the SQL that is re-created on every migrate: functions and views, then cron jobs.
import { existsSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { type ClientBase, DatabaseError } from 'pg'
import { SqlFileError } from './errors.js'

/** The .sql files at any depth below a folder of the package, relative to the package, in order of their paths. */
export async function sqlFiles(packageRoot: string, folder: string): Promise<string[]> {
  const root = join(packageRoot, folder)
  if (!existsSync(root)) return []
  const entries = await readdir(root, { recursive: true })
  return entries
    .filter((entry) => entry.endsWith('.sql'))
    .map((entry) => `${folder}/${entry.split(sep).join('/')}`)
    .sort()
}

/**
 * How long a lock is waited for: less than deadlock_timeout, so that it is never the work beside us that is ended by a deadlock.
 * Whoever waits behind us is held up no longer either.
 */
export const LOCK_TIMEOUT = '100ms'

/**
 * Applies the files in one transaction. Functions may name functions that come later.
 * @returns the rows of the last file, when it is one statement that returns rows
 * @throws SqlFileError naming the file and line; nothing is applied then.
 */
export async function applySqlFiles(client: ClientBase, packageRoot: string, files: readonly string[]): Promise<unknown[]> {
  let rows: unknown[] = []
  await client.query('begin')
  try {
    await client.query('set local check_function_bodies = off')
    await client.query('set local search_path = public')
    await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`)
    for (const file of files) {
      const text = await readFile(join(packageRoot, file), 'utf8')
      try {
        // Several statements give a list of results.
        const result: { rows?: unknown[] } = await client.query(text)
        rows = result.rows ?? []
      } catch (error) {
        throw new SqlFileError(file, lineOf(error, text), error)
      }
    }
    await client.query('commit')
    return rows
  } catch (error) {
    // A lost connection has rolled back by itself; the first error is the one to tell.
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

/**
 * Applies a file that commits by itself, a little at a time. What it has committed stays when it fails.
 * @throws SqlFileError naming the file and line
 */
export async function applyCommittingFile(client: ClientBase, packageRoot: string, file: string): Promise<void> {
  const text = await readFile(join(packageRoot, file), 'utf8')
  await client.query(`set lock_timeout = '${LOCK_TIMEOUT}'`)
  try {
    await client.query(text)
  } catch (error) {
    throw new SqlFileError(file, lineOf(error, text), error)
  } finally {
    await client.query('reset lock_timeout').catch(() => undefined)
  }
}

function lineOf(error: unknown, text: string): number | undefined {
  if (!(error instanceof DatabaseError) || error.position === undefined) return undefined
  return text.slice(0, Number(error.position)).split('\n').length
}
