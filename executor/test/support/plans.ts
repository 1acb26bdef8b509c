// A session whose plans can be read, those of the statements inside of functions included.
import pg from 'pg'
import type { TestDatabase } from './database.js'
import type { Queryable } from './sql.js'

export interface Watched {
  on: Queryable
  /** Plans, with what was read in each node, of the statements that `work` runs in this session. */
  plansOf: (work: () => Promise<unknown>) => Promise<string[]>
  end: () => Promise<void>
}

export async function watchedSession(database: TestDatabase): Promise<Watched> {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  let plans: string[] = []
  client.on('notice', ({ message }) => {
    if (message?.includes('plan:') === true) plans.push(message)
  })
  await client.query("load 'auto_explain'")
  await client.query('set auto_explain.log_nested_statements = on; set auto_explain.log_analyze = on; set auto_explain.log_timing = off')
  return {
    on: { query: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => (await client.query<Row>(text, values)).rows },
    plansOf: async (work) => {
      plans = []
      await client.query("set auto_explain.log_min_duration = 0; set client_min_messages = 'log'")
      await work()
      await client.query("set client_min_messages = 'warning'; set auto_explain.log_min_duration = -1")
      return plans
    },
    end: () => client.end(),
  }
}

/** Rows that the nodes of these plans which read the table have given or filtered out, all their loops together. */
export function rowsRead(plans: readonly string[], table: string): number {
  let rows = 0
  for (const plan of plans) {
    let loops = 0
    for (const line of plan.split('\n')) {
      const node = / on (\w+)(?: \w+)?\s.*actual rows=([\d.]+) loops=(\d+)/.exec(line)
      if (node !== null || line.includes('->')) loops = node?.[1] === table ? Number(node[3]) : 0
      if (node?.[1] === table) rows += Number(node[2]) * loops
      const removed = /Rows Removed by (?:Filter|Join Filter): ([\d.]+)/.exec(line)
      if (removed !== null) rows += Number(removed[1]) * loops
    }
  }
  return Math.round(rows)
}
