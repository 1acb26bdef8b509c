// How large an answer to a client may be. The driver cannot hold a text of more than 536,870,888 characters: it would end the process. So what
// is larger than one answer may be is counted by the server, which then sends the count alone.
import { z } from 'zod'
import { COLUMN_TYPES } from './column-types.js'
import { sqlState } from './database-errors.js'
import { TooLargeError } from './errors.js'
import type { Queryable } from './protocol.js'
import { readText } from './untrusted-values.js'

/** Of all rows together: more than an execution may have by the largest limits of fw_worker_config. */
const MOST_BYTES = 268_435_456
/** The largest error_limit, and a character that says that it was cut. What is longer was kept before there were limits. */
const LONGEST_TEXT = 100_001

/** How Postgres says that it cannot make a text that large: by these states, or, for want of one, in words. */
const TOO_LARGE = /^(54...|53200)$/
const TOO_LARGE_IN_WORDS = /^invalid memory alloc request size/

const Rows = z.array(z.object({ row: z.unknown(), bytes: z.coerce.number() }))

/** SQL for a text that may have been kept before there were limits. */
export const cut = (column: string): string => `left(${column}, ${LONGEST_TEXT})`

/**
 * Reads rows as JSON: a session of the caller's may write times in a style of its own.
 * @throws TooLargeError
 */
export async function readRows<Row>(sql: Queryable, schema: z.ZodType<Row>, text: string, values: unknown[], timeoutMs?: number): Promise<Row[]> {
  const query = {
    text: `with found as materialized (select to_jsonb(q) as row from (${text}) q),
       counted as materialized (select f.row, sum(octet_length(f.row::text)) over () as bytes from found f)
     select case when c.bytes <= ${MOST_BYTES} then c.row end as row, c.bytes from counted c`,
    values,
    types: COLUMN_TYPES,
    ...(timeoutMs === undefined ? {} : { query_timeout: timeoutMs }),
  }
  const rows = Rows.parse(await answer(sql.query(query)))
  const bytes = rows[0]?.bytes ?? 0
  if (bytes > MOST_BYTES) throw new TooLargeError(bytes, MOST_BYTES)
  return rows.map(({ row }) => schema.parse(row))
}

async function answer(sent: Promise<{ rows: unknown[] }>): Promise<unknown[]> {
  try {
    return (await sent).rows
  } catch (error) {
    if (TOO_LARGE.test(sqlState(error) ?? '') || TOO_LARGE_IN_WORDS.test(readText(error, 'message') ?? '')) throw new TooLargeError(undefined, MOST_BYTES, { cause: error })
    throw error
  }
}
