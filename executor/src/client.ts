// The client: enqueues executions and waits for their results. It needs no executor in its process.
import type pg from 'pg'
import { COLUMN_TYPES } from './column-types.js'
import { inReadCommitted, ownPool } from './connections.js'
import { sqlState } from './database-errors.js'
import { type Duration, toMilliseconds } from './duration.js'
import { ExecutionFailedError, ResultTimeoutError, UnknownExecutionError, UsageError } from './errors.js'
import {
  type AttemptsOptions,
  checkLimit,
  type ChildExecution,
  type ChildrenOptions,
  type Execution,
  type ExecutionSummary,
  type ExecutionDetails,
  type ExecutionStep,
  type FailedAttempt,
  readAttempts,
  readChildren,
  readDetails,
  readExecutions,
  readSummaries,
  readSteps,
  type StepsOptions,
} from './execution-details.js'
import { toJsonText } from './json.js'
import { checkEventKey, checkIdempotencyKey } from './keys.js'
import type { Queryable } from './protocol.js'
import { parseInput, type Workflow } from './workflow.js'

declare const outputOf: unique symbol

/** Id of an execution, a uuid; remembers the type of the output for result(). */
export type ExecutionId<Output = unknown> = string & { readonly [outputOf]?: Output }

/**
 * The database's URL, for connections of the client's own, which prepare their statements: direct, or through a pooler that
 * supports that (PgBouncer from 1.21). Or a pool of the caller's, on which no statement is prepared, and whose parsers of columns and
 * settings (isolation, date style) change nothing here.
 */
export type ClientOptions = { connectionString: string } | { pool: pg.Pool }

export interface EnqueueOptions {
  organizationId: string
  /** Not started before. Default: at once. */
  delay?: Duration
  /** Whatever the caller wants to keep with the execution. */
  metadata?: Record<string, unknown>
  /** A client that is inside a transaction of the caller's: the execution is there if and when that commits. */
  transaction?: Queryable
}

export interface EnqueueOneOptions extends EnqueueOptions {
  /** 1 to 500 characters. A second enqueue of the workflow for this organization with the same key returns the first execution's id. */
  idempotencyKey?: string
}

export interface EnqueueManyOptions extends EnqueueOptions {
  /** One for each input, null where there is none; each as `idempotencyKey` of enqueue(). */
  idempotencyKeys?: readonly (string | null)[]
}

export interface ResultOptions {
  /** How long to wait. Default: '1m'. */
  timeout?: Duration
}

export interface CancelOptions {
  /** Whether an executor first runs the compensations of what was completed. Default: false. */
  compensate?: boolean
}

export interface ListOptions {
  organizationId?: string
  workflow?: Workflow | string
  statuses?: readonly Execution['status'][]
  /** Only those that are older than the execution of this id. */
  before?: string
  /** Most to return, 1 to 1000. Default: 50. */
  limit?: number
}

const FIRST_LOOK_MS = 5
const SLOWEST_LOOK_MS = 500
const SERIALIZATION_FAILURE = '40001'
const MOST_CONFLICTS = 10

export class Client {
  readonly #pool: pg.Pool
  readonly #ownsPool: boolean

  constructor(options: ClientOptions) {
    this.#ownsPool = 'connectionString' in options
    this.#pool = 'pool' in options ? options.pool : ownPool({ connectionString: options.connectionString, application_name: 'fw client' })
  }

  /**
   * Enqueues one execution.
   * @param workflow the workflow, or just its name
   * @returns its id, once it is durable (or with options.transaction: once that commits)
   * @throws UsageError for input that fails the workflow's schema or a key that cannot be one, NotJsonError for input that JSON can't hold; nothing is enqueued then
   */
  async enqueue<Input, Output>(
    workflow: Workflow<Input, Output> | string,
    input: Input,
    options: EnqueueOneOptions,
  ): Promise<ExecutionId<Output>> {
    if (options.idempotencyKey !== undefined) checkIdempotencyKey(options.idempotencyKey)
    const [id] = await this.#enqueue<Output>(
      options,
      'fw_enqueue',
      'select public.fw_enqueue($1, $2, $3, $4, make_interval(secs => $5), $6)::text',
      nameOf(workflow),
      (await toTexts(workflow, [input])).join(),
      options.idempotencyKey,
    )
    if (id === undefined) throw new Error('fw_enqueue returned no id')
    return id
  }

  /** Enqueues an execution for each input, in one statement; returns their ids in the order of the inputs. Throws as enqueue() does. */
  async enqueueMany<Input, Output>(
    workflow: Workflow<Input, Output> | string,
    inputs: readonly Input[],
    options: EnqueueManyOptions,
  ): Promise<ExecutionId<Output>[]> {
    for (const key of options.idempotencyKeys ?? []) if (key !== null) checkIdempotencyKey(key)
    return await this.#enqueue<Output>(
      options,
      'fw_enqueue_many',
      // All ids in one row: a row for each costs the driver and the server more than the call.
      `select array_to_string(array(
        select * from public.fw_enqueue_many($1, array(select jsonb_array_elements($2)), $3, $4, make_interval(secs => $5), $6)), ',')`,
      nameOf(workflow),
      `[${(await toTexts(workflow, inputs)).join()}]`,
      options.idempotencyKeys,
    )
  }

  async #enqueue<Output>(
    { organizationId, delay, metadata, transaction }: EnqueueOptions,
    name: string,
    /** Returns the ids, separated by commas. */
    text: string,
    workflow: string,
    input: string,
    keys: unknown,
  ): Promise<ExecutionId<Output>[]> {
    const query = {
      // Prepared on connections of our own only: others may go through a pooler that knows no prepared statements.
      ...(this.#ownsPool && transaction === undefined ? { name } : {}),
      text,
      values: [
        workflow,
        input,
        organizationId,
        keys ?? null,
        toMilliseconds(delay ?? 0, 'the delay') / 1000,
        metadata === undefined ? null : toJsonText(metadata, 'the metadata'),
      ],
      rowMode: 'array' as const,
      types: COLUMN_TYPES,
    }
    const { rows } = await (transaction === undefined ? whileItConflicts(() => this.#pool.query<[string]>(query)) : transaction.query<[string]>(query))
    const ids = rows[0]?.[0] ?? ''
    return ids === '' ? [] : ids.split(',')
  }

  /**
   * Waits for an execution to finish.
   * @param id as enqueue() returned it, which gives the type; or any execution's id
   * @returns its output
   * @throws ExecutionFailedError when it failed, timed out or was cancelled; ResultTimeoutError; UnknownExecutionError
   */
  async result<Output>(id: ExecutionId<Output>, options: ResultOptions = {}): Promise<Output> {
    const timeoutMs = toMilliseconds(options.timeout ?? '1m', 'the timeout of result()')
    const deadline = performance.now() + timeoutMs
    for (let pause = FIRST_LOOK_MS; ; pause = Math.min(SLOWEST_LOOK_MS, pause * 1.5)) {
      const { rows } = await this.#pool.query<{ status: string | null; output: unknown; is_nothing: boolean; error: string | null; error_category: string | null }>({
        text: 'select r.*, r.output is null as is_nothing from public.fw_result($1) r',
        values: [id],
        types: COLUMN_TYPES,
      })
      const { status = null, output, is_nothing: isNothing, error = null, error_category: category = null } = rows[0] ?? {}
      if (status === null) throw new UnknownExecutionError(id)
      // What the workflow returned was undefined, and not null.
      if (status === 'completed') return (isNothing === true ? undefined : output) as Output
      if (status === 'failed' || status === 'timed_out' || status === 'cancelled') throw new ExecutionFailedError(id, status, error, category)
      const left = deadline - performance.now()
      if (left <= 0) throw new ResultTimeoutError(id, timeoutMs, status)
      await new Promise((resolve) => setTimeout(resolve, Math.min(left, pause)))
    }
  }

  /**
   * All that is known of an execution, with what it waits for. Its steps, failed attempts and children are got by the calls below.
   * @throws UnknownExecutionError
   */
  async get(id: string): Promise<ExecutionDetails> {
    const execution = await readDetails(this.#pool, id)
    if (execution === undefined) throw new UnknownExecutionError(id)
    return execution
  }

  /**
   * The steps of an execution, its waits and children included, in the order in which they were asked for: what each is, how it
   * stands, how long it took, and what it gave.
   * @returns a page, 100 unless options.limit says otherwise; the name of its last one, as `after`, gives the next. Empty when there is no
   *   such execution
   * @throws UsageError for a page size outside 1 to 1000
   * @example const slow = (await client.steps(id)).filter(({ durationMs }) => (durationMs ?? 0) > 60_000)
   */
  async steps(id: string, options: StepsOptions = {}): Promise<ExecutionStep[]> {
    return await readSteps(this.#pool, id, options)
  }

  /**
   * The failed attempts of an execution, the newest first: the error, the step that it came from, its stack, where it ran and when. They are
   * kept as long as the execution, also when a later attempt completed it.
   * @returns a page, 100 unless options.limit says otherwise; the id of its last one, as `before`, gives the next
   * @throws UsageError for a page size outside 1 to 1000
   * @example const [last] = await client.attempts(id, { limit: 1 }); console.log(last?.step, last?.stack)
   */
  async attempts(id: string, options: AttemptsOptions = {}): Promise<FailedAttempt[]> {
    return await readAttempts(this.#pool, id, options)
  }

  /**
   * The executions that an execution has invoked, the oldest first.
   * @returns a page, 100 unless options.limit says otherwise; the id of its last one, as `after`, gives the next
   * @throws UsageError for a page size outside 1 to 1000
   * @example const failed = await client.children(id, { statuses: ['failed'] })
   */
  async children(id: string, options: ChildrenOptions = {}): Promise<ChildExecution[]> {
    return await readChildren(this.#pool, id, options)
  }

  /**
   * Executions that match every filter, the newest first.
   * @returns a page; the id of its last one, as `before`, gives the next
   * @throws UsageError for a page size outside 1 to 1000
   */
  async list(filters: ListOptions = {}): Promise<Execution[]> {
    return await readExecutions(this.#pool, LISTED, listed(filters))
  }

  /**
   * As list, without inputs, outputs and metadata, which the database does not even read: for tables of many.
   * @returns a page; the id of its last one, as `before`, gives the next
   * @throws UsageError for a page size outside 1 to 1000
   * @example const failed = await client.summaries({ organizationId, statuses: ['failed'], limit: 1000 })
   */
  async summaries(filters: ListOptions = {}): Promise<ExecutionSummary[]> {
    return await readSummaries(this.#pool, LISTED, listed(filters))
  }

  /**
   * Cancels an execution, be it queued, waiting or running, and its children; handlers that run are aborted.
   * @returns false when it had finished before
   * @throws an error with code FW003 when there is no such execution
   */
  async cancel(id: string, reason?: string, options: CancelOptions = {}): Promise<boolean> {
    const { rows } = await this.#change<{ cancelled: boolean }>('select public.fw_cancel_execution($1, $2, $3) as cancelled', [
      id,
      reason ?? null,
      options.compensate ?? false,
    ])
    return rows[0]?.cancelled ?? false
  }

  /**
   * Makes an execution fail for good, be it queued, waiting or running: what it has completed is compensated first, then it is
   * dead-lettered with the reason, from where it can be put back. Its children are cancelled; handlers that run are aborted.
   * @param reason kept with the execution and in its dead letter; not empty
   * @returns false when it had finished, or begun to compensate, before
   * @throws UsageError for an empty reason; an error with code FW003 when there is no such execution
   * @example await client.fail(id, 'the order was withdrawn')
   */
  async fail(id: string, reason: string): Promise<boolean> {
    if (reason.trim() === '') throw new UsageError('the reason is empty: say why the execution is to fail')
    const { rows } = await this.#change<{ failed: boolean }>('select public.fw_fail_execution($1, $2) as failed', [id, reason])
    return rows[0]?.failed ?? false
  }

  /**
   * Lets an execution that waits for its next run go on from one of its steps, as when it is parked because its code was changed: the step, and
   * all that was asked for or seen after it, happens again; children that still run for it are cancelled. What came before stays.
   * @param step name of the step, as recorded
   * @returns how many steps were forgotten
   * @throws an error with code FW003 for an execution or step that does not exist, FW004 for one that runs just now or has finished
   */
  async continueFrom(id: string, step: string): Promise<number> {
    const { rows } = await this.#change<{ forgotten: number }>('select public.fw_continue_from($1, $2) as forgotten', [id, step])
    return rows[0]?.forgotten ?? 0
  }

  /**
   * Emits an event: whoever waits for its key in this organization goes on with the payload, and it is kept for those who wait later.
   * @param key 1 to 200 characters, with neither U+0000 nor half of a surrogate pair
   * @param payload JSON of up to result_limit (16 MB)
   * @param options a client that is inside a transaction of the caller's: the event is there if and when that commits
   * @returns the id of the event
   * @throws UsageError for a key that cannot be one, NotJsonError, an error of the database for a payload out of range; nothing is emitted then
   */
  async emit(organizationId: string, key: string, payload?: unknown, options: { transaction?: Queryable } = {}): Promise<string> {
    checkEventKey(key)
    const values = [organizationId, key, payload === undefined ? null : toJsonText(payload, `the payload of event '${key}'`)]
    const { rows } = await this.#change<{ id: string }>('select public.fw_emit_event($1, $2, $3) as id', values, options.transaction)
    const [row] = rows
    if (row === undefined) throw new Error('fw_emit_event returned no id')
    return row.id
  }

  /** Calls a function that relies on READ COMMITTED, which a pool of the caller's may not have. */
  async #change<Row extends pg.QueryResultRow>(text: string, values: unknown[], transaction?: Queryable): Promise<pg.QueryResult<Row>> {
    const query = { text, values, types: COLUMN_TYPES }
    if (transaction !== undefined) return await transaction.query<Row>(query)
    return this.#ownsPool ? await this.#pool.query<Row>(query) : await inReadCommitted(this.#pool, (sql) => sql.query<Row>(query))
  }

  /** Closes the client's own connections; a pool that was passed in stays open. */
  async close(): Promise<void> {
    if (this.#ownsPool && !this.#pool.ending) await this.#pool.end()
  }
}

/** A single statement on a pool whose transactions may be stricter than READ COMMITTED: one that met another's is sent again. */
async function whileItConflicts<Answer>(send: () => Promise<Answer>): Promise<Answer> {
  for (let conflict = 1; ; conflict++) {
    try {
      return await send()
    } catch (error) {
      if (sqlState(error) !== SERIALIZATION_FAILURE || conflict === MOST_CONFLICTS) throw error
    }
  }
}

function nameOf(workflow: Workflow | string): string {
  return typeof workflow === 'string' ? workflow : workflow.name
}

/** Checks the inputs and makes JSON of them. */
async function toTexts<Input>(workflow: Workflow<Input> | string, inputs: readonly Input[]): Promise<string[]> {
  const what = `the input of workflow '${nameOf(workflow)}'`
  if (typeof workflow !== 'string') {
    for (const input of inputs) {
      const parsed = parseInput(workflow, input)
      const checked = parsed instanceof Promise ? await parsed : parsed
      if (!checked.success) {
        throw new UsageError(`the input does not fit the schema of workflow '${workflow.name}'; nothing was enqueued`, { cause: checked.error })
      }
    }
  }
  return inputs.map((input) => toJsonText(input, what))
}

const LISTED = 'public.fw_list_executions($1, $2, $3, $4, $5)'

function listed({ organizationId, workflow, statuses, before, limit = 50 }: ListOptions): unknown[] {
  return [organizationId ?? null, workflow === undefined ? null : nameOf(workflow), statuses ?? null, before ?? null, checkLimit(limit)]
}
