// The SQL API as an executor calls it: one function here for each SQL function, and nothing else.
import type pg from 'pg'
import type { RegisteredWorkflow } from './workflow.js'

/** A pool, or a client of one. */
export type Queryable = Pick<pg.ClientBase, 'query'>

/** One execution as it is handed over. */
export interface Claim {
  batchId: string
  organizationId: string
  leaseMs: number
  executionId: string
  workflowName: string
  attempt: number
  input: unknown
  /** What earlier attempts completed. */
  steps: { name: string; output: unknown }[]
}

export interface Checkpoint {
  name: string
  index: number
  /** JSON text. */
  output: string
  durationMs: number
}

/** What is reported of one execution: checkpoints, and the output (JSON text) once it is done. */
export interface Report {
  executionId: string
  batchId: string
  output?: string
  checkpoints: readonly Checkpoint[]
}

export interface Failure {
  executionId: string
  batchId: string
  error: string
  category: string
  permanent: boolean
}

export interface FailureOutcome {
  outcome: 'retry_pending' | 'failed' | 'fenced'
  retryInMs: number | null
}

/** An execution that was ended from outside while it ran. */
export interface Ended {
  executionId: string
  batchId: string
  reason: string
}

export interface Job {
  name: string
  /** A statement. */
  command: string
}

/** SQLSTATEs that the SQL API raises. */
export const SQLSTATE = { leaseLost: 'FW001', unknownExecutor: 'FW002' } as const

export async function registerExecutor(sql: Queryable, name: string, workflows: RegisteredWorkflow[]): Promise<string> {
  const { rows } = await sql.query<{ id: string }>('select public.fw_register_executor($1, $2) as id', [
    name,
    JSON.stringify(workflows),
  ])
  const [row] = rows
  if (row === undefined) throw new Error('fw_register_executor returned no id')
  return row.id
}

export async function stopExecutor(sql: Queryable, executorId: string): Promise<void> {
  await sql.query('select public.fw_stop_executor($1)', [executorId])
}

type ClaimRow = [string, string, number, string, string, string | null, number, unknown, Claim['steps'] | null]

function toClaims({ rows }: { rows: ClaimRow[] }): Claim[] {
  return rows.map(([batchId, organizationId, leaseSeconds, executionId, workflowName, , attempt, input, steps]) => ({
    batchId,
    organizationId,
    leaseMs: leaseSeconds * 1000,
    executionId,
    workflowName,
    attempt,
    input,
    steps: steps ?? [],
  }))
}

/** @param organizations those that a NOTIFY has named */
export async function claimBatches(
  sql: Queryable,
  executorId: string,
  room: number,
  organizations: readonly string[],
): Promise<Claim[]> {
  return toClaims(
    await sql.query<ClaimRow>({
      name: 'fw_claim_batches',
      text: 'select * from public.fw_claim_batches($1, $2, $3)',
      values: [executorId, room, organizations],
      rowMode: 'array',
    }),
  )
}

export async function takeBatch(sql: Queryable, executorId: string, batchId: string): Promise<Claim[]> {
  return toClaims(
    await sql.query<ClaimRow>({
      text: 'select * from public.fw_take_batch($1, $2)',
      values: [executorId, batchId],
      rowMode: 'array',
    }),
  )
}

/** Returns which of the reports were refused, by their index. */
export async function report(sql: Queryable, executorId: string, reports: readonly Report[]): Promise<Set<number>> {
  const steps = reports.flatMap(({ checkpoints }) => checkpoints)
  const { rows } = await sql.query<[number]>({
    name: 'fw_report',
    text: `select * from public.fw_report($1, $2, $3, $4, ${ofJson('$5')}, $6, array(select jsonb_array_elements_text($7)), $8, ${ofJson('$9')}, $10)`,
    values: [
      executorId,
      list(reports.map(({ executionId }) => executionId)),
      list(reports.map(({ batchId }) => batchId)),
      list(reports.map(({ output }) => output !== undefined)),
      jsonList(reports.map(({ output }) => output ?? 'null')),
      list(reports.flatMap(({ checkpoints }, place) => checkpoints.map(() => place + 1))),
      JSON.stringify(steps.map(({ name }) => name)),
      list(steps.map(({ index }) => index)),
      jsonList(steps.map(({ output }) => output)),
      list(steps.map(({ durationMs }) => durationMs)),
    ],
    rowMode: 'array',
  })
  return indexes(rows)
}

/** Returns what became of each, in their order. */
export async function reportFailures(
  sql: Queryable,
  executorId: string,
  failures: readonly Failure[],
): Promise<FailureOutcome[]> {
  const { rows } = await sql.query<[number, FailureOutcome['outcome'], string | null]>({
    name: 'fw_report_failures',
    text: 'select * from public.fw_report_failures($1, $2, $3, $4, $5, $6)',
    values: [
      executorId,
      failures.map(({ executionId }) => executionId),
      failures.map(({ batchId }) => batchId),
      failures.map(({ error }) => error),
      failures.map(({ category }) => category),
      failures.map(({ permanent }) => permanent),
    ],
    rowMode: 'array',
  })
  const outcomes: FailureOutcome[] = failures.map(() => ({ outcome: 'fenced', retryInMs: null }))
  for (const [place, outcome, retryInMs] of rows) {
    outcomes[place - 1] = { outcome, retryInMs: retryInMs === null ? null : Number(retryInMs) }
  }
  return outcomes
}

/** Hands executions back unfinished; returns which were refused, by their index. */
export async function release(
  sql: Queryable,
  executorId: string,
  held: readonly { executionId: string; batchId: string }[],
): Promise<Set<number>> {
  const { rows } = await sql.query<[number]>({
    text: 'select * from public.fw_release($1, $2, $3)',
    values: [executorId, held.map(({ executionId }) => executionId), held.map(({ batchId }) => batchId)],
    rowMode: 'array',
  })
  return indexes(rows)
}

/** Returns the ids of the batches whose lease is lost. */
export async function extendLeases(
  sql: Queryable,
  executorId: string,
  executionIds: readonly string[],
  batchIds: readonly string[],
): Promise<string[]> {
  const { rows } = await sql.query<[string]>({
    name: 'fw_extend_leases',
    text: 'select * from public.fw_extend_leases($1, $2, $3)',
    values: [executorId, executionIds, batchIds],
    rowMode: 'array',
  })
  return rows.map(([batchId]) => batchId)
}

/** Returns which of these were ended from outside; the arrays have a place for each execution. */
export async function endedExecutions(
  sql: Queryable,
  executionIds: readonly string[],
  batchIds: readonly string[],
): Promise<Ended[]> {
  const { rows } = await sql.query<[string, string, string]>({
    name: 'fw_ended_executions',
    text: 'select * from public.fw_ended_executions($1, $2)',
    values: [executionIds, batchIds],
    rowMode: 'array',
  })
  return rows.map(([executionId, batchId, reason]) => ({ executionId, batchId, reason }))
}

/** Returns jobs that are due and that nobody else runs; they are this executor's now. */
export async function takeDueJobs(sql: Queryable, executorId: string): Promise<Job[]> {
  return (await sql.query<Job & pg.QueryResultRow>('select name, command from public.fw_take_due_jobs($1)', [executorId])).rows
}

/** Runs a job's command in a transaction that knows who runs it. */
export async function runJob(pool: pg.Pool, command: string, driver: string): Promise<void> {
  const client = await pool.connect()
  let failed = true
  try {
    await client.query('begin')
    await client.query("select set_config('fw.job_driver', $1, true)", [driver])
    await client.query(command)
    await client.query('commit')
    failed = false
  } finally {
    // A connection in doubt is given up, and its transaction with it.
    client.release(failed)
  }
}

/** Records a step within the transaction that `sql` is in. */
export async function checkpoint(
  sql: Queryable,
  executorId: string,
  execution: { executionId: string; batchId: string },
  step: Checkpoint,
): Promise<void> {
  await sql.query({
    name: 'fw_checkpoint',
    text: 'select public.fw_checkpoint($1, $2, $3, $4, $5, $6, $7)',
    values: [executorId, execution.executionId, execution.batchId, step.name, step.index, step.output, step.durationMs],
  })
}

/** An array literal of values that need no quotes: much cheaper than what the driver does for any. */
function list(values: readonly (string | number | boolean)[]): string {
  return `{${values.join()}}`
}

/** JSON texts as one. */
function jsonList(texts: readonly string[]): string {
  return `[${texts.join()}]`
}

/** SQL for the jsonb[] that a parameter made by jsonList() holds. */
function ofJson(parameter: string): string {
  return `array(select jsonb_array_elements(${parameter}))`
}

/** Places count from 1, indexes from 0. */
function indexes(rows: [number][]): Set<number> {
  return new Set(rows.map(([place]) => place - 1))
}
