// What others than the owner may do: noted before a migrate changes anything, taken away and given again at its end (sql/privileges).
import type { ClientBase } from 'pg'
import { z } from 'zod'

/** Notes what was granted by hand, where an earlier migrate has closed the database: functions that are made anew get it again. */
export async function noteGrants(client: ClientBase): Promise<void> {
  const known = await client.query("select 1 where to_regprocedure('public.fw_note_grants()') is not null")
  if (known.rowCount !== 0) await client.query('select public.fw_note_grants()')
}

const Taken = z.array(z.object({ fw_close_to_others: z.string() }))

/** Tells what was taken away from others, as the statements that give it again. @param rows what fw_close_to_others has returned */
export function tellTaken(rows: unknown[], log: (line: string) => void): void {
  const { data = [] } = Taken.safeParse(rows)
  if (data.length === 0) return
  log('others than the owner had privileges on objects of the worker, as default privileges of the host give them; they were taken away. Give again what was meant:')
  for (const { fw_close_to_others: statement } of data) log(`  ${statement}`)
}
