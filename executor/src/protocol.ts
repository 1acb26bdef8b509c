// The SQL API as an executor calls it: one function here for each SQL function, and nothing else.
import type pg from 'pg'
import { boolArray, intArray, jsonbArray, optional, textArray, uuidArray } from './binary-array.js'
import { COLUMN_TYPES } from './column-types.js'
import { ANSWER_MS } from './connections.js'
import { write } from './kill-points.js'
import type { BackendTransaction, Checkpoint, Claim, Compensating, Ended, Failure, FailureOutcome, Job, Parking, ParkingOutcome, ProgressNote, Recorded, RecordedPage, Report, StepFate, Suspension, SuspensionOutcome } from './messages.js'
import type { RegisteredWorkflow } from './workflow.js'

export type * from './messages.js'

/** A pool, or a client of one. */
export type Queryable = Pick<pg.ClientBase, 'query'>

/** The version of the SQL API that is spoken here. */
export const SPOKEN = 4

/** SQLSTATEs that the SQL API raises. */
export const SQLSTATE = {
  leaseLost: 'FW001',
  unknownExecutor: 'FW002',
  unknownDeadLetter: 'FW003',
  wrongState: 'FW004',
  unknownExecution: 'FW005',
  unknownStep: 'FW006',
} as const

export async function registerExecutor(sql: Queryable, name: string, workflows: RegisteredWorkflow[]): Promise<string> {
  const { rows } = await write('fw_register_executor', () => sql.query<{ id: string }>('select public.fw_register_executor($1, $2, $3) as id', [
    name,
    JSON.stringify(workflows),
    SPOKEN,
  ]))
  const [row] = rows
  if (row === undefined) throw new Error('fw_register_executor returned no id')
  return row.id
}

export async function stopExecutor(sql: Queryable, executorId: string): Promise<void> {
  await write('fw_stop_executor', () => sql.query('select public.fw_stop_executor($1)', [executorId]))
}

type ClaimRow = [string, string, number, string, string, number, unknown, Compensating | null, boolean]

/** Of the rows that a claim returns: what an executor reads of them. */
const CLAIM_COLUMNS = 'batch_id, organization_id, lease_seconds, execution_id, workflow_name, attempt, input, compensating, is_resuming'

function toClaims({ rows }: { rows: ClaimRow[] }): Claim[] {
  return rows.map(([batchId, organizationId, leaseSeconds, executionId, workflowName, attempt, input, compensating, isResuming]) => {
    const claim: Claim = { batchId, organizationId, leaseMs: leaseSeconds * 1000, executionId, workflowName, attempt, input, steps: [] }
    if (compensating !== null) claim.compensating = compensating
    if (isResuming) claim.isResuming = true
    return claim
  })
}

/**
 * @param organizations those that a NOTIFY has named
 * @param isApart the claim before has failed for the data of something that it met: this one sets it aside
 */
export async function claimBatches(
  sql: Queryable,
  executorId: string,
  room: number,
  organizations: readonly string[],
  isApart: boolean,
): Promise<Claim[]> {
  return toClaims(
    await write('fw_claim_batches', () => sql.query<ClaimRow>({
      name: 'fw_claim_batches',
      text: `select ${CLAIM_COLUMNS} from public.fw_claim_batches($1, $2, $3, $4)`,
      values: [executorId, room, organizations, isApart],
      rowMode: 'array',
    })),
  )
}

export async function takeBatch(sql: Queryable, executorId: string, batchId: string): Promise<Claim[]> {
  return toClaims(
    await write('fw_take_batch', () => sql.query<ClaimRow>({
      text: `select ${CLAIM_COLUMNS} from public.fw_take_batch($1, $2)`,
      values: [executorId, batchId],
      rowMode: 'array',
    })),
  )
}

/**
 * A page of what runs resume from: a place for each of those asked for, in their order.
 * @param size bytes of the page, and of each execution, after which it ends
 */
export async function readRecorded(
  sql: Queryable,
  executorId: string,
  held: readonly { executionId: string; batchId: string; after: string | undefined }[],
  size: { most: number; each: number },
): Promise<RecordedPage[]> {
  const { rows } = await sql.query<[number, 'step' | 'last' | 'fenced', string | null]>({
    name: 'fw_read_recorded',
    text: 'select * from public.fw_read_recorded($1, $2, $3, $4, $5, $6)',
    values: [
      executorId,
      uuidArray(held.map(({ executionId }) => executionId)),
      uuidArray(held.map(({ batchId }) => batchId)),
      textArray(held.map(({ after }) => after)),
      size.most,
      size.each,
    ],
    rowMode: 'array',
  })
  const pages: RecordedPage[] = held.map(() => ({ steps: [], bytes: 0, input: undefined, state: 'more' }))
  for (const [place, kind, value] of rows) {
    const page = pages[place - 1]
    if (page === undefined) throw new Error(`fw_read_recorded returned a place ${place} of ${held.length}`)
    page.bytes += value?.length ?? 0
    if (kind === 'step') page.steps.push(JSON.parse(value ?? '') as Recorded)
    else page.state = kind
    if (kind === 'last' && value !== null) page.input = value
  }
  return pages
}

/** The limit of all recorded results of one execution together, in bytes. */
export async function resultsLimit(sql: Queryable): Promise<number> {
  const { rows } = await sql.query<{ value: string }>("select value from public.fw_limits() where name = 'results_limit'")
  return Number(rows[0]?.value ?? Infinity)
}

/**
 * Raises the error of a value that is larger than the limit of this name.
 * @param bytes that it has at least
 */
export async function checkLimit(sql: Queryable, limit: string, what: string, bytes: number): Promise<void> {
  await sql.query("select public.fw_refuse(l.name, $2, $3, l.value, 'bytes at least') from public.fw_limits() l where l.name = $1 and l.value < $3", [limit, what, bytes])
}

/** Says since when claims of this executor fail, and why; or that they do not any more. */
export async function noteClaims(sql: Queryable, executorId: string, error: string | undefined): Promise<void> {
  await sql.query('select public.fw_note_claims($1, $2)', [executorId, error ?? null])
}

/** Returns which of the reports were refused, by their index. */
export async function report(sql: Queryable, executorId: string, reports: readonly Report[]): Promise<Set<number>> {
  const steps = reports.flatMap(({ checkpoints }) => checkpoints)
  const { rows } = await write('fw_report', () => sql.query<[number]>({
    name: 'fw_report',
    text: 'select * from public.fw_report($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)',
    values: [
      executorId,
      uuidArray(reports.map(({ executionId }) => executionId)),
      uuidArray(reports.map(({ batchId }) => batchId)),
      boolArray(reports.map(({ isDone }) => isDone)),
      jsonbArray(reports.map(({ output }) => output)),
      intArray(reports.flatMap(({ checkpoints }, place) => checkpoints.map(() => place + 1))),
      textArray(steps.map(({ name }) => name)),
      intArray(steps.map(({ index }) => index)),
      jsonbArray(steps.map(({ output }) => output)),
      intArray(steps.map(({ durationMs }) => durationMs)),
      // Of most steps there is nothing more to say.
      textArray(optional(steps.map(({ asked }) => asked))),
      intArray(optional(steps.map(({ askedOrder }) => askedOrder))),
      intArray(optional(steps.map(({ order }) => order))),
      boolArray(optional(steps.map(({ error }) => (error === undefined ? undefined : true)))),
      jsonbArray(optional(steps.map(({ error }) => error))),
      boolArray(optional(steps.map(({ isCompensable }) => isCompensable))),
    ],
    rowMode: 'array',
  }))
  return indexes(rows)
}

/** Returns what became of each, in their order. */
export async function reportFailures(
  sql: Queryable,
  executorId: string,
  failures: readonly Failure[],
): Promise<FailureOutcome[]> {
  const { rows } = await write('fw_report_failures', () => sql.query<[number, FailureOutcome['outcome'], string | null]>({
    name: 'fw_report_failures',
    text: 'select * from public.fw_report_failures($1, $2, $3, $4, $5, $6, null, $7, $8)',
    values: [
      executorId,
      failures.map(({ executionId }) => executionId),
      failures.map(({ batchId }) => batchId),
      failures.map(({ error }) => error),
      failures.map(({ category }) => category),
      failures.map(({ permanent }) => permanent),
      failures.map(({ step }) => step ?? null),
      failures.map(({ stack }) => stack ?? null),
    ],
    rowMode: 'array',
  }))
  const outcomes: FailureOutcome[] = failures.map(() => ({ outcome: 'fenced', retryInMs: null }))
  for (const [place, outcome, retryInMs] of rows) {
    outcomes[place - 1] = { outcome, retryInMs: retryInMs === null ? null : Number(retryInMs) }
  }
  return outcomes
}

/** The arguments that fw_suspend and fw_begin_waits share. */
function waitArguments(executorId: string, suspensions: readonly Suspension[]): unknown[] {
  const waits = suspensions.flatMap(({ waits }, place) => waits.map((wait) => ({ ...wait, place: place + 1 })))
  return [
    executorId,
    suspensions.map(({ executionId }) => executionId),
    suspensions.map(({ batchId }) => batchId),
    waits.map(({ place }) => place),
    waits.map(({ name }) => name),
    waits.map(({ index }) => index),
    waits.map(({ milliseconds }) => milliseconds ?? null),
    waits.map(({ until }) => until?.toISOString() ?? null),
    waits.map(({ key }) => key ?? null),
    waits.map(({ child }) => child?.workflow ?? null),
    waits.map(({ child }) => child?.input ?? null),
    waits.map(({ child }) => child?.group ?? null),
    waits.map(({ child }) => child?.limit ?? null),
    waits.map(({ asked }) => asked),
    waits.map(({ askedOrder }) => askedOrder ?? null),
  ]
}

/** Lets executions wait; returns what became of each, in their order. */
export async function suspend(sql: Queryable, executorId: string, suspensions: readonly Suspension[]): Promise<SuspensionOutcome[]> {
  const { rows } = await write('fw_suspend', () => sql.query<[number, SuspensionOutcome['outcome'], string | null]>({
    name: 'fw_suspend',
    text: 'select * from public.fw_suspend($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)',
    values: waitArguments(executorId, suspensions),
    rowMode: 'array',
  }))
  const outcomes: SuspensionOutcome[] = suspensions.map(() => ({ outcome: 'fenced', wakeInMs: null }))
  for (const [place, outcome, wakeInMs] of rows) {
    outcomes[place - 1] = { outcome, wakeInMs: wakeInMs === null ? null : Number(wakeInMs) }
  }
  return outcomes
}

/** Begins waits of an execution that goes on running. Returns false when its lease is lost. */
export async function beginWaits(sql: Queryable, executorId: string, suspension: Suspension): Promise<boolean> {
  const { rows } = await write('fw_begin_waits', () => sql.query<[number]>({
    text: 'select * from public.fw_begin_waits($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)',
    values: waitArguments(executorId, [suspension]),
    rowMode: 'array',
  }))
  return rows.length === 0
}

/** Parks executions whose recorded steps the code does not fit; returns what became of each, in their order. */
export async function park(sql: Queryable, executorId: string, parkings: readonly Parking[]): Promise<ParkingOutcome[]> {
  const { rows } = await write('fw_park', () => sql.query<[number, ParkingOutcome['outcome'], string | null]>({
    text: 'select * from public.fw_park($1, $2, $3, $4, $5, $6)',
    values: [
      executorId,
      parkings.map(({ executionId }) => executionId),
      parkings.map(({ batchId }) => batchId),
      parkings.map(({ recorded }) => recorded),
      parkings.map(({ asked }) => asked),
      parkings.map(({ reason }) => reason),
    ],
    rowMode: 'array',
  }))
  const outcomes: ParkingOutcome[] = parkings.map(() => ({ outcome: 'fenced', retryInMs: null }))
  for (const [place, outcome, retryInMs] of rows) outcomes[place - 1] = { outcome, retryInMs: retryInMs === null ? null : Number(retryInMs) }
  return outcomes
}

/** Records that a step was compensated. Returns false when the lease is lost. */
export async function recordCompensation(
  sql: Queryable,
  executorId: string,
  { executionId, batchId }: { executionId: string; batchId: string },
  step: string,
): Promise<boolean> {
  const { rows } = await write('fw_record_compensation', () => sql.query<{ recorded: boolean }>('select public.fw_record_compensation($1, $2, $3, $4) as recorded', [
    executorId,
    executionId,
    batchId,
    step,
  ]))
  return rows[0]?.recorded === true
}

/** Notes how far executions are. */
export async function noteProgress(sql: Queryable, executorId: string, notes: readonly ProgressNote[]): Promise<void> {
  await write('fw_note_progress', () => sql.query('select public.fw_note_progress($1, $2, $3, $4, $5)', [
    executorId,
    notes.map(({ executionId }) => executionId),
    notes.map(({ batchId }) => batchId),
    notes.map(({ fraction }) => fraction),
    notes.map(({ text }) => text ?? null),
  ]))
}

/** Hands executions back unfinished; returns which were refused, by their index. */
export async function release(
  sql: Queryable,
  executorId: string,
  held: readonly { executionId: string; batchId: string; delayMs?: number }[],
): Promise<Set<number>> {
  const { rows } = await write('fw_release', () => sql.query<[number]>({
    text: 'select * from public.fw_release($1, $2, $3, $4)',
    values: [executorId, held.map(({ executionId }) => executionId), held.map(({ batchId }) => batchId), held.map(({ delayMs }) => delayMs ?? 0)],
    rowMode: 'array',
  }))
  return indexes(rows)
}

/**
 * @param executions what runs in these batches, with the step that each is in and for how many milliseconds
 * @returns the ids of the batches whose lease is lost
 */
export async function extendLeases(
  sql: Queryable,
  executorId: string,
  executions: readonly { executionId: string; step?: string; milliseconds?: number }[],
  batchIds: readonly string[],
): Promise<string[]> {
  const { rows } = await write('fw_extend_leases', () => sql.query<[string]>({
    name: 'fw_extend_leases',
    text: 'select * from public.fw_extend_leases($1, $2, $3, $4, $5)',
    values: [
      executorId,
      executions.map(({ executionId }) => executionId),
      batchIds,
      executions.map(({ step }) => step ?? null),
      executions.map(({ milliseconds }) => milliseconds ?? null),
    ],
    rowMode: 'array',
  }))
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

/** Returns which of these batches nobody has taken. */
export async function offeredBatches(sql: Queryable, batchIds: readonly string[]): Promise<string[]> {
  const { rows } = await sql.query<[string]>({ text: 'select * from public.fw_offered_batches($1)', values: [batchIds], rowMode: 'array' })
  return rows.map(([batchId]) => batchId)
}

/** Looks again at events that somebody may have missed. */
export async function matchEvents(sql: Queryable): Promise<void> {
  await write('fw_match_events', () => sql.query('select public.fw_match_events()'))
}

/** Returns jobs that are due and that nobody else runs; they are this executor's now. */
export async function takeDueJobs(sql: Queryable, executorId: string): Promise<Job[]> {
  return (await write('fw_take_due_jobs', () => sql.query<Job & pg.QueryResultRow>('select name from public.fw_take_due_jobs($1)', [executorId]))).rows
}

/** Runs a job, by its name, in a transaction that knows who runs it. */
export async function runJob(pool: pg.Pool, name: string, driver: string): Promise<void> {
  const client = await pool.connect()
  let failed = true
  try {
    await client.query('begin isolation level read committed')
    await client.query("select set_config('fw.job_driver', $1, true)", [driver])
    await write('job', () => client.query('select public.fw_run_job($1)', [name]))
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
  // Not prepared: what a step's session has prepared is gone when it is given back.
  const query = {
    text: 'select public.fw_checkpoint($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)',
    values: [executorId, execution.executionId, execution.batchId, step.name, step.index, step.output ?? null, step.durationMs,
      step.asked ?? null, step.askedOrder ?? null, step.order ?? null],
    types: COLUMN_TYPES,
    query_timeout: ANSWER_MS,
  }
  await write('fw_checkpoint', () => sql.query(query))
}

/** Whether the step of a transaction whose commit was not answered is recorded. */
export async function stepFate(
  sql: Queryable,
  executorId: string,
  execution: { executionId: string; batchId: string },
  step: string,
  transaction: BackendTransaction,
): Promise<StepFate> {
  const query = {
    text: 'select public.fw_step_fate($1, $2, $3, $4, $5, $6)',
    values: [executorId, execution.executionId, execution.batchId, step, transaction.pid, transaction.id],
    rowMode: 'array' as const,
    types: COLUMN_TYPES,
    query_timeout: ANSWER_MS,
  }
  const { rows } = await sql.query<[StepFate]>(query)
  const [row] = rows
  if (row === undefined) throw new Error('fw_step_fate returned nothing')
  return row[0]
}

/** Places count from 1, indexes from 0. */
function indexes(rows: [number][]): Set<number> {
  return new Set(rows.map(([place]) => place - 1))
}
