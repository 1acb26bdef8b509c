// One number out of the database.
import type { Pool } from 'pg'

/** The value of a query that gives one row with one column `count`. */
export async function countOf(pool: Pool, query: string, values: readonly unknown[] = []): Promise<number> {
  const { rows } = await pool.query<{ count: string }>(query, [...values])
  const [row] = rows
  if (row === undefined) throw new Error(`no row: ${query}`)
  return Number(row.count)
}
