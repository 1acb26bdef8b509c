// Calls of the SQL functions with typed rows, and the hands of an administrator, for the tests under executor/test/sql.
import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterEach, expect } from 'vitest'
import { testDatabase, type TestDatabase, type TestDatabaseOptions } from './database.js'

/** Where statements run: a database (any session of its pool) or one session. */
export interface Queryable {
  query: <Row extends pg.QueryResultRow = Record<string, unknown>>(text: string, values?: unknown[]) => Promise<Row[]>
}

/** One connection of its own. */
export interface Session extends Queryable {
  readonly pid: number
}

export interface Claimed {
  batch_id: string
  organization_id: string
  lease_seconds: number
  execution_id: string
  workflow_name: string
  workflow_version: string | null
  attempt: number
  input: unknown
  steps: { name: string; output: unknown }[] | null
}

export type Held = Pick<Claimed, 'execution_id' | 'batch_id'>

export interface Step {
  name: string
  index: number
  output: unknown
  durationMs?: number
  /** It has a compensation. */
  compensable?: boolean
}

export interface Result extends Held {
  /** Default: true. */
  done?: boolean
  output?: unknown
  /** Steps to record with it. */
  completed?: Step[]
}

export interface Failure extends Held {
  error?: string
  category?: string
  permanent?: boolean
  /** Default: null, the backoff of the workflow's policy. */
  delayMs?: number | null
  step?: string
  stack?: string
}

export interface Execution {
  id: string
  organization_id: string
  workflow_name: string
  status: string
  output: unknown
  retry_count: number
  last_error: string | null
  error_category: string | null
  next_retry_at: Date | null
  msg_id: string
  batch_id: string | null
  dlq_msg_id: string | null
  discarded_at: Date | null
  started_at: Date | null
  completed_at: Date | null
}

/** A database for the file whose tests don't see each other's work: after each, no executor lives and all are disabled. */
export function sqlDatabase(options: TestDatabaseOptions = {}): TestDatabase {
  const database = testDatabase(options)
  afterEach(async () => {
    await database.query('update public.fw_executors set stopped_at = now(), wants_work = false where stopped_at is null')
    await database.query('update public.fw_module_settings set fw_execution_worker_enabled = false where fw_execution_worker_enabled')
  })
  return database
}

export interface Settings {
  enabled?: boolean
  batchSize?: number
  visibilityTimeout?: number
  concurrency?: number
}

/** A new organization, its worker enabled unless told otherwise. */
export async function organization(on: Queryable, settings: Settings = {}): Promise<string> {
  const id = randomUUID()
  await on.query('select public.fw_save_worker_settings($1, $2, $3, $4, $5)', [
    id,
    settings.enabled ?? true,
    settings.batchSize ?? 10,
    settings.visibilityTimeout ?? 30,
    settings.concurrency ?? 1,
  ])
  return id
}

export interface Policy {
  max_attempts?: number
  backoff_initial_ms?: number
  backoff_factor?: number
  backoff_max_ms?: number
  timeout_minutes?: number
  compensate_on_timeout?: boolean
  on_timeout?: 'fail' | 'cancel' | 'escalate'
  warn_percent?: number
}

/** A workflow name that no other test uses. */
export const workflow = (): string => `workflow-${randomBytes(4).toString('hex')}`

/** Registers an executor that knows these workflows, all with one policy. It waits for work, as after a claim that found none. */
export async function executor(on: Queryable, workflows: string | string[], policy: Policy = {}): Promise<string> {
  const known = [workflows].flat().map((name) => ({ name, ...policy }))
  const { id } = one(await on.query<{ id: string }>('select public.fw_register_executor($1, $2) as id', ['test', JSON.stringify(known)]))
  await on.query('update public.fw_executors set wants_work = true where id = $1', [id])
  return id
}

/** Enqueues this many executions (default 1) in one call and returns their ids in order. */
export async function enqueue(on: Queryable, name: string, organizationId: string, count = 1): Promise<string[]> {
  const rows = await on.query<{ id: string }>(
    "select id from public.fw_enqueue_many($1, array_fill('{}'::jsonb, array[$3::integer]), $2) as id",
    [name, organizationId, count],
  )
  return rows.map(({ id }) => id)
}

/** Claims as an executor does, in the middle of its life: by the floors where it may, looking at everything from time to time. */
export const claimAsIs = (on: Queryable, executorId: string, room: number, hints: string[] = []): Promise<Claimed[]> =>
  on.query<Claimed>('select * from public.fw_claim_batches($1, $2, $3::uuid[])', [executorId, room, hints])

/** Claims with the executor due to look at everything, so that what is found does not depend on how long the last look took. */
export async function claim(on: Queryable, executorId: string, room = 500, hints: string[] = []): Promise<Claimed[]> {
  await on.query("update public.fw_executors set rescanned_at = '-infinity', rescan_cost = '0' where id = $1", [executorId])
  return claimAsIs(on, executorId, room, hints)
}

/** The one row that a claim must find. */
export const claimOne = async (on: Queryable, executorId: string): Promise<Claimed> => one(await claim(on, executorId))

/** The execution at a place, which counts from 1. */
const at = (held: readonly Pick<Held, 'execution_id'>[], place: number): string => held[place - 1]?.execution_id ?? `place ${place}`

/** Reports results; returns the executions that were refused. */
export async function report(on: Queryable, executorId: string, results: readonly Result[]): Promise<string[]> {
  const steps = results.flatMap((result, index) => (result.completed ?? []).map((step) => ({ ...step, item: index + 1 })))
  const compensable = steps.map((step) => step.compensable ?? null)
  // Databases of older versions have no such argument.
  const more = compensable.some((each) => each !== null)
  const rows = await on.query<{ place: number }>(
    `select place from public.fw_report($1, $2::uuid[], $3::uuid[], $4::boolean[], $5::jsonb[],
       $6::integer[], $7::text[], $8::integer[], $9::jsonb[], $10::integer[]${more ? ', p_step_compensable => $11::boolean[]' : ''}) as place`,
    [
      executorId,
      results.map((result) => result.execution_id),
      results.map((result) => result.batch_id),
      results.map((result) => result.done ?? true),
      results.map((result) => json(result.output)),
      steps.map((step) => step.item),
      steps.map((step) => step.name),
      steps.map((step) => step.index),
      steps.map((step) => json(step.output)),
      steps.map((step) => step.durationMs ?? 1),
      ...(more ? [compensable] : []),
    ],
  )
  return rows.map(({ place }) => at(results, place))
}

/** Reports failed attempts; returns what became of each. */
export async function reportFailures(on: Queryable, executorId: string, failures: readonly Failure[]): Promise<Record<string, string>> {
  // Also to a database of the first version, which knows neither steps nor stacks.
  const isTold = failures.some(({ step, stack }) => step !== undefined || stack !== undefined)
  const rows = await on.query<{ place: number; outcome: string }>(
    `select * from public.fw_report_failures($1, $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::boolean[], $7::bigint[]${isTold ? ', $8::text[], $9::text[]' : ''})`,
    [
      executorId,
      failures.map((failure) => failure.execution_id),
      failures.map((failure) => failure.batch_id),
      failures.map((failure) => failure.error ?? 'it broke'),
      failures.map((failure) => failure.category ?? 'RUNTIME'),
      failures.map((failure) => failure.permanent ?? false),
      failures.map((failure) => failure.delayMs ?? null),
      ...(isTold ? [failures.map((failure) => failure.step ?? null), failures.map((failure) => failure.stack ?? null)] : []),
    ],
  )
  return Object.fromEntries(rows.map((row) => [at(failures, row.place), row.outcome]))
}

/** Hands executions back unfinished; returns those that were refused. */
export async function release(on: Queryable, executorId: string, held: readonly Held[]): Promise<string[]> {
  const text = 'select place from public.fw_release($1, $2::uuid[], $3::uuid[]) as place'
  const rows = await on.query<{ place: number }>(text, [executorId, ...ids(held)])
  return rows.map(({ place }) => at(held, place))
}

/** Extends leases; returns the batches that have lost theirs. */
export async function extend(on: Queryable, executorId: string, held: readonly Held[]): Promise<string[]> {
  const text = 'select id from public.fw_extend_leases($1, $2::uuid[], $3::uuid[]) as id'
  const rows = await on.query<{ id: string }>(text, [executorId, ...ids(held)])
  return rows.map(({ id }) => id)
}

/** Records a step in the caller's transaction. */
export async function checkpoint(on: Queryable, executorId: string, held: Held, step: Step): Promise<void> {
  await on.query('select public.fw_checkpoint($1, $2, $3, $4, $5, $6, $7)', [
    executorId,
    held.execution_id,
    held.batch_id,
    step.name,
    step.index,
    json(step.output),
    step.durationMs ?? 1,
  ])
}

/** Fails an execution for good and returns its message id in workflow_dlq. */
export async function deadLetter(on: Queryable, executorId: string, held: Held, error = 'it broke'): Promise<string> {
  await reportFailures(on, executorId, [{ ...held, error, permanent: true }])
  const { dlq_msg_id } = await execution(on, held.execution_id)
  if (dlq_msg_id === null) throw new Error('the execution has no dead letter')
  return dlq_msg_id
}

/** Lets the leases of these batches have run out a second ago, as if their executor had vanished. */
export async function expireLeases(on: Queryable, held: readonly Held[]): Promise<void> {
  await on.query(
    `with run as (
       update public.fw_worker_runs set lease_expires_at = now() - interval '1 second' where id = any ($1::uuid[])
       returning id, lease_expires_at)
     update pgmq.q_workflow_execution_queue q set vt = run.lease_expires_at
     from run join public.fw_workflow_executions e on e.batch_id = run.id
     where e.status = 'running' and q.msg_id = e.msg_id`,
    [held.map(({ batch_id }) => batch_id)],
  )
}

/** Makes the messages of these executions visible now, as if their delay had passed. */
export async function makeVisible(on: Queryable, executionIds: readonly string[]): Promise<void> {
  await on.query(
    `update pgmq.q_workflow_execution_queue q set vt = now() from public.fw_workflow_executions e
     where e.id = any ($1::uuid[]) and q.msg_id = e.msg_id`,
    [executionIds],
  )
}

/** Sends a message past fw_enqueue, as a client of pgmq can; returns its id. */
export async function sendRaw(on: Queryable, message: unknown, queue = 'workflow_execution_queue'): Promise<string> {
  return one(await on.query<{ id: string }>('select pgmq.send($1, $2::jsonb) as id', [queue, JSON.stringify(message)])).id
}

export async function execution(on: Queryable, id: string): Promise<Execution> {
  return one(await on.query<Execution & pg.QueryResultRow>('select * from public.fw_workflow_executions where id = $1', [id]))
}

/** The messages of an organization in workflow_execution_queue, in order. */
export async function messages(on: Queryable, organizationId: string): Promise<{ msg_id: string; vt: Date; message: unknown }[]> {
  const text = "select msg_id, vt, message from pgmq.q_workflow_execution_queue where message ->> 'organization_id' = $1 order by msg_id"
  return on.query(text, [organizationId])
}

/** Everything in the tables that an executor's writes reach, to compare before with after. */
export async function contents(on: Queryable): Promise<unknown> {
  const tables = ['fw_module_settings', 'fw_worker_runs', 'fw_workflow_executions', 'fw_execution_steps', 'fw_failed_attempts'].map((table) => `public.${table}`)
  tables.push('pgmq.q_workflow_execution_queue', 'pgmq.q_workflow_dlq')
  const rows = tables.map((table) => `select '${table}' as source, to_jsonb(t) as content from ${table} t`)
  return on.query(`select * from (${rows.join(' union all ')}) everything order by source, content::text`)
}

/** Opens sessions, runs the work with them, rolls back what they left open and closes them. */
export async function withSessions<T>(database: TestDatabase, count: number, work: (...sessions: Session[]) => Promise<T>): Promise<T> {
  const clients = Array.from({ length: count }, () => new pg.Client({ connectionString: database.url }))
  try {
    const sessions: Session[] = []
    for (const client of clients) {
      await client.connect()
      const query: Queryable['query'] = async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) =>
        (await client.query<Row>(text, values)).rows
      // A deadlock is found before the lock_timeout of reports (500 ms) could hide it, and after that of a claim, whose wait is short on purpose.
      await query("set deadlock_timeout = '350ms'")
      const { pid } = one(await query<{ pid: number }>('select pg_backend_pid() as pid'))
      sessions.push({ pid, query })
    }
    return await work(...sessions)
  } finally {
    await Promise.all(clients.map((client) => client.end()))
  }
}

/** Returns once the session waits for a lock that another holds; fails when it never does. */
export async function untilBlocked(on: Queryable, session: Session): Promise<void> {
  for (let look = 0; look < 1000; look++) {
    const { blocked } = one(await on.query<{ blocked: boolean }>('select cardinality(pg_blocking_pids($1)) > 0 as blocked', [session.pid]))
    if (blocked) return
    await sleep(10)
  }
  throw new Error('the session was never blocked')
}

/** The only element. */
export function one<T>(rows: readonly T[]): T {
  expect(rows).toHaveLength(1)
  return rows[0] as T
}

const json = (value: unknown): string | null => (value === undefined ? null : JSON.stringify(value))
const ids = (held: readonly Held[]): [string[], string[]] => [
  held.map(({ execution_id }) => execution_id),
  held.map(({ batch_id }) => batch_id),
]
