// What is left on disk when many executions have been drained: dead rows, and the size of tables and indexes, as
// autovacuum has left them at the end. The database is then vacuumed and kept, for the case of finished executions beside.
import { setTimeout as sleep } from 'node:timers/promises'
import { open } from '../systems/durable-execution-worker.ts'
import { drained } from './drain.ts'
import { inDatabase, settle } from './measuring.ts'
import type { Measurement, SpecOf } from './spec.ts'

/** Backends tell the statistics about their rows a second late at most. */
const STATISTICS_MS = 1500
const MIB = 1024 * 1024
/** Smaller tables are in the totals alone. */
const WORTH_A_ROW = 0.01

interface TableRow {
  name: string
  dead: number
  table_bytes: number
  index_bytes: number
}

export async function playSizes(spec: SpecOf<'sizes'>, url: string): Promise<Measurement[]> {
  const session = await open(url, { steps: 1, count: spec.count })
  try {
    await session.fill(spec.count)
    await settle(url)
    const rate = await drained(session, spec.count)
    await sleep(STATISTICS_MS)
    const tables = await inDatabase(url, async (client) => {
      const { rows } = await client.query<TableRow>(
        `select schemaname || '.' || relname as name, n_dead_tup::float8 as dead, pg_table_size(relid)::float8 as table_bytes,
           pg_indexes_size(relid)::float8 as index_bytes
         from pg_stat_user_tables order by pg_total_relation_size(relid) desc`,
      )
      return rows
    })
    await settle(url)
    const all = sum('all tables', tables)
    const large = tables.filter((table) => table.table_bytes + table.index_bytes > WORTH_A_ROW * (all.table_bytes + all.index_bytes))
    return [
      { case: `${spec.title}: rate`, value: rate, unit: 'executions/s' },
      ...[all, ...large].flatMap(({ name, dead, table_bytes, index_bytes }) => [
        { case: `${spec.title}: dead rows, ${name}`, value: dead, unit: 'rows' },
        { case: `${spec.title}: table size, ${name}`, value: table_bytes / MIB, unit: 'MiB' },
        { case: `${spec.title}: index size, ${name}`, value: index_bytes / MIB, unit: 'MiB' },
      ]),
    ]
  } finally {
    await session.close()
  }
}

function sum(name: string, tables: readonly TableRow[]): TableRow {
  return tables.reduce(
    (total, { dead, table_bytes, index_bytes }) => ({
      name,
      dead: total.dead + dead,
      table_bytes: total.table_bytes + table_bytes,
      index_bytes: total.index_bytes + index_bytes,
    }),
    { name, dead: 0, table_bytes: 0, index_bytes: 0 },
  )
}
