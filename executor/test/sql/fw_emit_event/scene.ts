// What the tests of events have in common.
import { type Claimed, one, type Queryable } from '../../support/sql.js'

/** Emits an event; returns its id. */
export const emit = async (on: Queryable, organizationId: string, key: string, payload: unknown): Promise<string> =>
  one(await on.query<{ id: string }>('select public.fw_emit_event($1, $2, $3) as id', [organizationId, key, JSON.stringify(payload)])).id

/** Lets an execution wait for these keys at once, each for so many milliseconds (default: for ever); the steps are named 'wait 0' and so on. */
export async function waitFor(on: Queryable, x: string, held: Claimed, keys: readonly string[], milliseconds: number | null = null, from = 0): Promise<string | null> {
  const names = keys.map((_, at) => `wait ${at + from}`)
  const nothing = keys.map(() => null)
  const rows = await on.query<{ outcome: string; wake_in_ms: string | null }>(
    `select outcome, wake_in_ms from public.fw_suspend($1, array[$2::uuid], array[$3::uuid], array_fill(1, array[cardinality($4::text[])]), $4, $5::integer[],
       array_fill($6::bigint, array[cardinality($4::text[])]), $7::text[]::timestamptz[], $8::text[], $7, $7::text[]::jsonb[], $7, $7::text[]::integer[])`,
    [x, held.execution_id, held.batch_id, names, names.map((_, at) => at + from), milliseconds, nothing, keys],
  )
  const { outcome, wake_in_ms } = one(rows)
  if (outcome !== 'waiting') throw new Error(`it does not wait, but is ${outcome}`)
  return wake_in_ms
}
