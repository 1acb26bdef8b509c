// What the database knows of an execution: its state, its steps, its failed attempts and its children, as Client gives them.
import { z } from 'zod'
import { cut, readRows } from './answers.js'
import { UsageError } from './errors.js'
import type { Queryable } from './protocol.js'

export const STATUSES = ['queued', 'running', 'waiting', 'retry_pending', 'completed', 'failed', 'timed_out', 'cancelled'] as const
export const STEP_STATUSES = ['pending', 'running', 'completed', 'failed', 'skipped', 'waiting', 'compensated'] as const

const status = z.enum(STATUSES)
const count = z.coerce.number()

const executionSchema = z.object({
  id: z.string(),
  organizationId: z.string(),
  workflow: z.string(),
  version: z.string().nullable(),
  status,
  attempt: z.int(),
  /** As the policy of its workflow says. */
  maxAttempts: z.int(),
  input: z.unknown(),
  output: z.unknown(),
  /** Of the last failed attempt, or why it was ended from outside. */
  error: z.string().nullable(),
  errorCategory: z.string().nullable(),
  metadata: z.unknown(),
  idempotencyKey: z.string().nullable(),
  /** 0 to 1, as its handler says. */
  progress: z.number().nullable(),
  progressText: z.string().nullable(),
  /** The step that a running execution was in when its lease was extended last: known after a third of the visibility timeout. */
  currentStep: z.string().nullable(),
  currentStepSince: z.coerce.date().nullable(),
  createdAt: z.coerce.date(),
  startedAt: z.coerce.date().nullable(),
  completedAt: z.coerce.date().nullable(),
  nextRetryAt: z.coerce.date().nullable(),
  /** Set while it is parked, because the code of the executors does not fit what it has recorded: since when, and how they differ. */
  parkedAt: z.coerce.date().nullable(),
  parkedReason: z.string().nullable(),
  deadlineAt: z.coerce.date().nullable(),
  /** While it waits: milliseconds that will be left until its deadline when it goes on. */
  deadlineLeftMs: count.nullable(),
  /** Set while its compensations run: how it ends then, and why. */
  compensating: z.unknown(),
  /** Of its message in the dead-letter queue, while there is one. */
  deadLetterId: z.string().nullable(),
  /** When its dead letter was discarded. */
  discardedAt: z.coerce.date().nullable(),
  /** The execution that invoked it, and the step that waits for it. */
  parentId: z.string().nullable(),
  parentStep: z.string().nullable(),
  /** The batch that it runs in, or ran in last, and the name of that batch's executor. */
  batchId: z.string().nullable(),
  executor: z.string().nullable(),
})
export type Execution = z.infer<typeof executionSchema>

const summarySchema = executionSchema.omit({ input: true, output: true, metadata: true, compensating: true })
/** What is known of an execution but what may be large: its input, output and metadata. */
export type ExecutionSummary = z.infer<typeof summarySchema>

const stepSchema = z.object({
  name: z.string(),
  /** Its place in the order in which steps were asked for. */
  index: z.int(),
  /** A value is a time, a random number or a uuid. A map item is a child of a map; an item that a function did is a step. */
  kind: z.enum(['step', 'transaction', 'value', 'sleep', 'event', 'child', 'map item']),
  /** What was asked for, in words, where that is recorded. */
  asked: z.string().nullable(),
  status: z.enum(STEP_STATUSES),
  /** The attempt of the execution in which it completed, or began to wait. */
  attempt: z.int(),
  startedAt: z.coerce.date(),
  completedAt: z.coerce.date().nullable(),
  durationMs: count.nullable(),
  output: z.unknown(),
  error: z.string().nullable(),
  /** Of a sleep: when it is over. Of a wait for an event: when it gives up; null for never. */
  until: z.coerce.date().nullable(),
  eventKey: z.string().nullable(),
  childId: z.string().nullable(),
  childWorkflow: z.string().nullable(),
  childStatus: status.nullable(),
})
export type ExecutionStep = z.infer<typeof stepSchema>

const attemptSchema = z.object({
  id: z.string(),
  attempt: z.int(),
  error: z.string().nullable(),
  errorCategory: z.string().nullable(),
  /** The error said that trying again cannot help. */
  permanent: z.boolean(),
  /** The step that the error came from; of a lost lease: the step that it was in when its executor was last heard of. */
  step: z.string().nullable(),
  /** With the stacks of the causes. */
  stack: z.string().nullable(),
  /** What became of the execution by it: retry_pending, failed, cancelled or compensating. */
  outcome: z.string(),
  /** Name of the executor that ran it. */
  executor: z.string().nullable(),
  executorId: z.string().nullable(),
  batchId: z.string().nullable(),
  failedAt: z.coerce.date(),
})
export type FailedAttempt = z.infer<typeof attemptSchema>

const childSchema = z.object({
  id: z.string(),
  workflow: z.string(),
  /** The step that waits for it. */
  step: z.string().nullable(),
  status,
  attempt: z.int(),
  error: z.string().nullable(),
  errorCategory: z.string().nullable(),
  createdAt: z.coerce.date(),
  startedAt: z.coerce.date().nullable(),
  completedAt: z.coerce.date().nullable(),
})
export type ChildExecution = z.infer<typeof childSchema>

/** An execution, and the waits that it is in: the first twenty. */
export type ExecutionDetails = Execution & { waitsFor: ExecutionStep[] }

const MOST_WAITS = 20

/** @throws UsageError for a page size outside 1 to 1000 */
export function checkLimit(limit: number): number {
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000) throw new UsageError(`limit is ${limit}, outside 1 to 1000`)
  return limit
}

/** @param source a call of a function that returns executions */
export async function readExecutions(sql: Queryable, source: string, values: unknown[]): Promise<Execution[]> {
  return await readRows(sql, executionSchema, executionsOf(source, 'e.input, e.output, e.metadata, e.compensating,'), values)
}

/** As readExecutions, without what may be large: the database does not even read it. */
export async function readSummaries(sql: Queryable, source: string, values: unknown[]): Promise<ExecutionSummary[]> {
  return await readRows(sql, summarySchema, executionsOf(source, ''), values)
}

function executionsOf(source: string, large: string): string {
  return `select e.id, e.organization_id as "organizationId", e.workflow_name as workflow, ${cut('e.workflow_version')} as version, e.status,
       e.retry_count + 1 as attempt, coalesce(w.max_attempts, 5) as "maxAttempts", ${large}
       ${cut('e.last_error')} as error, ${cut('e.error_category')} as "errorCategory", e.idempotency_key as "idempotencyKey",
       case when e.progress >= 0 and e.progress <= 1 then e.progress end as progress, ${cut('e.progress_text')} as "progressText", c.step as "currentStep", c.since as "currentStepSince",
       e.created_at as "createdAt", e.started_at as "startedAt", e.completed_at as "completedAt", e.next_retry_at as "nextRetryAt",
       k.parked_at as "parkedAt", ${cut('k.reason')} as "parkedReason",
       e.deadline_at as "deadlineAt", extract(epoch from e.deadline_left) * 1000 as "deadlineLeftMs",
       e.dlq_msg_id::text as "deadLetterId", e.discarded_at as "discardedAt", e.parent_id as "parentId", e.parent_step as "parentStep",
       e.batch_id as "batchId", x.name as executor
     from ${source} e
     cross join lateral public.fw_current_step(e) c
     left join public.fw_parked k on k.execution_id = e.id
     left join public.fw_workflows w on w.name = e.workflow_name
     left join public.fw_worker_runs r on r.id = e.batch_id
     left join public.fw_executors x on x.id = r.executor_id
     where e.id is not null
     order by e.id desc`
}

export interface GetOptions {
  /** False: without input, output, metadata and compensating, which the database does not even read. Default: true. */
  values?: boolean
}

/** One execution with its waits; undefined when there is none. */
export async function readDetails(sql: Queryable, id: string, { values = true }: GetOptions): Promise<ExecutionDetails | undefined> {
  const source = 'public.fw_get_execution($1)'
  const [execution] = values ? await readExecutions(sql, source, [id]) : (await readSummaries(sql, source, [id])).map(withoutValues)
  if (execution === undefined) return undefined
  return { ...execution, waitsFor: execution.completedAt === null ? await readSteps(sql, id, { statuses: ['waiting'], limit: MOST_WAITS }) : [] }
}

const withoutValues = (summary: ExecutionSummary): Execution => ({ ...summary, input: undefined, output: undefined, metadata: undefined, compensating: undefined })

export interface StepsOptions {
  /** False: without outputs. Default: true. */
  values?: boolean
  /** Only in one of these states. */
  statuses?: readonly ExecutionStep['status'][]
  /** Only those after the step of this name: the last of a page gives the next. */
  after?: string
  /** Most to return, 1 to 1000. Default: 100. */
  limit?: number
}

export async function readSteps(sql: Queryable, id: string, { statuses, after, limit = 100, values = true }: StepsOptions): Promise<ExecutionStep[]> {
  return await readRows(sql, stepSchema,
    `select s.name, s.step_index as index, s.kind, ${cut('s.asked')} as asked, s.status, s.attempt, s.started_at as "startedAt", s.completed_at as "completedAt",
       s.duration_ms as "durationMs", ${values ? 's.output' : 'null as output'}, ${cut('s.error')} as error, s.wake_at as until, s.event_key as "eventKey", s.child_id as "childId",
       s.child_workflow as "childWorkflow", s.child_status as "childStatus"
     from public.fw_list_steps($1, $2, $3, $4) s`,
    [id, statuses ?? null, after ?? null, checkLimit(limit)],
  )
}

export interface AttemptsOptions {
  /** Only those before the failed attempt of this id: the last of a page gives the next. */
  before?: string
  /** Most to return, 1 to 1000. Default: 100. */
  limit?: number
}

export async function readAttempts(sql: Queryable, id: string, { before, limit = 100 }: AttemptsOptions): Promise<FailedAttempt[]> {
  return await readRows(sql, attemptSchema,
    `select a.id, a.attempt, ${cut('a.error')} as error, ${cut('a.error_category')} as "errorCategory", a.is_permanent as permanent, a.step, ${cut('a.stack')} as stack, a.outcome,
       a.executor_name as executor, a.executor_id as "executorId", a.batch_id as "batchId", a.failed_at as "failedAt"
     from public.fw_list_failed_attempts($1, $2, $3) a`,
    [id, before ?? null, checkLimit(limit)],
  )
}

export interface ChildrenOptions {
  /** Only in one of these states. */
  statuses?: readonly Execution['status'][]
  /** Only those that were created after the child of this id: the last of a page gives the next. */
  after?: string
  /** Most to return, 1 to 1000. Default: 100. */
  limit?: number
}

export async function readChildren(sql: Queryable, id: string, { statuses, after, limit = 100 }: ChildrenOptions): Promise<ChildExecution[]> {
  return await readRows(sql, childSchema,
    `select c.id, c.workflow_name as workflow, c.step, c.status, c.attempt, ${cut('c.error')} as error, c.error_category as "errorCategory",
       c.created_at as "createdAt", c.started_at as "startedAt", c.completed_at as "completedAt"
     from public.fw_list_children($1, $2, $3, $4) c`,
    [id, statuses ?? null, after ?? null, checkLimit(limit)],
  )
}
