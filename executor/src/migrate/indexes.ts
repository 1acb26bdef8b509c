// Makes the indexes that may be added to tables with many rows, beside the work that goes on: never in a transaction, never with a
// lock that holds up a writer.
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type pg from 'pg'
import { sqlState } from '../database-errors.js'
import { SqlFileError } from './errors.js'
import { sqlFiles } from './sql-files.js'

/** How long an index may wait for transactions that were there before it. Nobody waits behind it meanwhile. */
const PATIENCE = '60s'

const LOCK_NOT_AVAILABLE = '55P03'
const DEADLOCK = '40P01'

/**
 * Makes the indexes of sql/indexes that are missing, one a file, named after it. One that an earlier migrate left half made is made anew.
 * One that cannot be made now, because somebody's transaction stays open, is told of and left to the next migrate: what uses it works
 * without it, only slower.
 * @returns names of the indexes that were made
 * @throws SqlFileError for any other trouble
 */
export async function makeIndexes(client: pg.Client, packageRoot: string, log: (line: string) => void): Promise<string[]> {
  const made: string[] = []
  for (const file of await sqlFiles(packageRoot, 'sql/indexes')) {
    const name = basename(file, '.sql')
    const state = await stateOf(client, name)
    if (state === 'valid') continue
    try {
      await client.query(`set lock_timeout = '${PATIENCE}'`)
      if (state === 'invalid') await client.query(`drop index concurrently if exists public.${name}`)
      await client.query(await readFile(join(packageRoot, file), 'utf8'))
      made.push(name)
      log(`index ${name} made`)
    } catch (error) {
      const code = sqlState(error)
      if (code !== LOCK_NOT_AVAILABLE && code !== DEADLOCK) throw new SqlFileError(file, undefined, error)
      log(`index ${name} is not there yet: a transaction has been open for longer than ${PATIENCE}. The next fw migrate makes it`)
    } finally {
      await client.query('reset lock_timeout')
    }
  }
  return made
}

async function stateOf(client: pg.Client, name: string): Promise<'missing' | 'invalid' | 'valid'> {
  const { rows } = await client.query<{ valid: boolean }>(
    `select i.indisvalid as valid from pg_catalog.pg_index i
     join pg_catalog.pg_class c on c.oid = i.indexrelid
     where c.relname = $1 and c.relnamespace = 'public'::regnamespace`, [name])
  if (rows[0] === undefined) return 'missing'
  return rows[0].valid ? 'valid' : 'invalid'
}
