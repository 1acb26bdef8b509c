// What came of a run: every number is counted by SQL, over the worker's tables and the demo's own.
import type pg from 'pg'

export interface Numbers {
  executions: number
  completed: number
  dead_lettered: number
  /** Executions that needed more than one attempt. */
  retried: number
  /** From the first enqueue to the last end. */
  seconds: number
}

interface Reason {
  category: string
  error: string
  count: number
  example: string
}

export interface Report {
  total: Numbers & { organizations: number }
  /** The largest first. */
  organizations: (Numbers & { name: string })[]
  reasons: Reason[]
  /** What is not as it should be, in words. */
  problems: string[]
}

const NUMBERS = `count(*)::integer as executions,
  count(*) filter (where status = 'completed')::integer as completed,
  count(*) filter (where status = 'failed')::integer as dead_lettered,
  count(*) filter (where retry_count > 0)::integer as retried,
  coalesce(round(extract(epoch from max(completed_at) - min(created_at)), 3), 0)::float8 as seconds`

/** @param expected how many executions were enqueued */
export async function reportOn(sql: pg.Pool, run: string, expected: number): Promise<Report> {
  const { rows: totals } = await sql.query<Report['total']>(
    `select ${NUMBERS}, count(distinct organization_id)::integer as organizations
     from fw_workflow_executions where metadata ->> 'run' = $1`,
    [run],
  )
  const { rows: organizations } = await sql.query<Numbers & { name: string }>(
    `select metadata ->> 'distributor' as name, ${NUMBERS}
     from fw_workflow_executions where metadata ->> 'run' = $1 group by name order by executions desc, name`,
    [run],
  )
  const { rows: reasons } = await sql.query<Reason>(
    `select d.error_category as category, d.error, count(*)::integer as count,
       min(concat_ws(', ', coalesce(e.input ->> 'Title', '(no title)'), e.input ->> 'Release Date', e.input ->> 'Distributor')) as example
     from fw_dlq d join fw_workflow_executions e on e.id = d.execution_id
     where e.metadata ->> 'run' = $1 group by 1, 2 order by count desc, error`,
    [run],
  )
  const { rows: written } = await sql.query<{ rows: number }>(
    `select count(*)::integer as rows from demo.movies m join fw_workflow_executions e on e.id = m.execution_id
     where e.metadata ->> 'run' = $1 and e.status = 'completed'`,
    [run],
  )
  const { rows: violated } = await sql.query<{ name: string; violations: string }>(
    'select name, violations from fw_invariants where violations <> 0',
  )
  const [total] = totals
  if (total === undefined) throw new Error('the executions could not be counted')
  const { executions, completed, dead_lettered: deadLettered } = total
  const problems = violated.map(({ name, violations }) => `fw_invariants counts ${violations} of ${name}`)
  if (executions !== expected) problems.push(`${expected} executions were enqueued, ${executions} are there`)
  if (completed + deadLettered !== executions) problems.push(`${executions - completed - deadLettered} executions have not ended`)
  if (written[0]?.rows !== completed) problems.push(`demo.movies has ${written[0]?.rows ?? 0} rows for ${completed} completed executions`)
  return { total, organizations, reasons, problems }
}
