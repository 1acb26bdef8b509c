import pg from 'pg'
import { expect, test } from 'vitest'
import { claim, enqueue, executor, organization, type Queryable, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()
const name = workflow()

const MANY = 2000

/** Lets one execution wait for a map of children. */
async function mapOver(on: Queryable, x: string, count: number): Promise<string> {
  const [held] = await claim(on, x, 1)
  if (held === undefined) throw new Error('nothing was claimed')
  await on.query(
    `select public.fw_suspend($1, array[$2::uuid], array[$3::uuid], array_agg(1), array_agg('map[' || i || ']'), array_agg(i), array_agg(null::bigint),
       array_agg(null::timestamptz), array_agg(null::text), array_agg($4::text), array_agg('{}'::jsonb), array_agg('map'::text), array_agg(10))
     from generate_series(1, $5::integer) as i`,
    [x, held.execution_id, held.batch_id, name, count],
  )
  return held.execution_id
}

test('a map of many children is begun and cancelled without looking at each beside each, also in a session that met the tables empty', async () => {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  const plans: string[] = []
  client.on('notice', ({ message }) => {
    if (message?.includes('plan:') === true) plans.push(message)
  })
  const on: Queryable = { query: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => (await client.query<Row>(text, values)).rows }
  try {
    const large = await organization(database)
    const x = await executor(on, name)
    await enqueue(on, name, large, 2)
    // The plans of this session are made with a map of one.
    await on.query('select public.fw_cancel_execution($1)', [await mapOver(on, x, 1)])
    await on.query("load 'auto_explain'; set auto_explain.log_nested_statements = on; set auto_explain.log_analyze = on")
    await on.query("set auto_explain.log_min_duration = 0; set client_min_messages = 'log'")
    const parent = await mapOver(on, x, MANY)
    await on.query('select public.fw_cancel_execution($1)', [parent])
    await on.query("set client_min_messages = 'warning'")
  } finally {
    await client.end()
  }
  expect(await database.query('select status, count(*)::integer from public.fw_workflow_executions group by 1')).toEqual([{ status: 'cancelled', count: MANY + 3 }])
  expect(plans.some((plan) => plan.includes('fw_execution_steps_pkey'))).toBe(true)
  const wasted = plans.filter((plan) => [...plan.matchAll(/Rows Removed by (?:Join )?Filter: (\d+)/g)].some(([, rows]) => Number(rows) > 2 * MANY))
  expect(wasted).toEqual([])
  expect(plans.filter((plan) => /Seq Scan on (q_workflow|fw_workflow_executions|fw_execution_steps)/.test(plan))).toEqual([])
})
