// The client: enqueues executions and waits for their results. It needs no executor in its process, and imports none.
import { ClientCalls } from './client-calls.js'
import type {
  CancelOptions,
  ClientOptions,
  EnqueueManyOptions,
  EnqueueOneOptions,
  EnqueueOptions,
  ExecutionId,
  ListOptions,
  ResultOptions,
  SavedWorkerSettings,
  WorkerSettings,
} from './client-options.js'
import { awaitResult } from './client-result.js'
import { saveSettings } from './client-settings.js'
import { toMilliseconds } from './duration.js'
import { UnknownExecutionError, UsageError } from './errors.js'
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
  type GetOptions,
  type StepsOptions,
} from './execution-details.js'
import { toJsonText } from './json.js'
import { checkEventKey, checkIdempotencyKey } from './keys.js'
import { emitWarning, ObstacleWatch } from './obstacles.js'
import type { Queryable } from './protocol.js'
import { parseInput, type Workflow } from './workflow.js'

export class Client {
  readonly #calls: ClientCalls
  readonly #watch: ObstacleWatch

  constructor(options: ClientOptions) {
    this.#calls = new ClientCalls(options)
    this.#watch = new ObstacleWatch(this.#calls.pool, options.onWarning ?? emitWarning)
  }

  /**
   * Enqueues one execution. Whatever keeps it from starting is no error: the option `onWarning` of the client hears of it.
   * @param workflow the workflow, or just its name
   * @returns its id, once it is durable (or with options.transaction: once that commits)
   * @throws UsageError for input that fails the workflow's schema or a key that cannot be one, NotJsonError for input that JSON can't hold,
   *   RefusedError for what the database refuses, as input beyond its limit; nothing is enqueued then
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
    const rows = await this.#calls.statement<[string]>({
      name,
      text,
      values: [
        workflow,
        input,
        organizationId,
        keys ?? null,
        toMilliseconds(delay ?? 0, 'the delay') / 1000,
        metadata === undefined ? null : toJsonText(metadata, 'the metadata'),
      ],
      transaction,
    })
    this.#watch.enqueued(workflow, organizationId)
    const ids = rows[0]?.[0] ?? ''
    return ids === '' ? [] : ids.split(',')
  }

  /**
   * Waits for an execution to finish. A database that is not there for a while, as when it is started anew, is asked again until the timeout.
   * @param id as enqueue() returned it, which gives the type; or any execution's id
   * @returns its output
   * @throws ExecutionFailedError when it failed, timed out or was cancelled; ResultTimeoutError, with what keeps it from starting;
   *   UnknownExecutionError; TooLargeError for an output of more than 256 MB, kept before there was a limit
   */
  async result<Output>(id: ExecutionId<Output>, options: ResultOptions = {}): Promise<Output> {
    const timeoutMs = toMilliseconds(options.timeout ?? '1m', 'the timeout of result()')
    return (await this.#calls.read((sql) => awaitResult(sql, this.#watch, id, timeoutMs))) as Output
  }

  /**
   * All that is known of an execution, with what it waits for. Its steps, failed attempts and children are got by the calls below.
   * @throws UnknownExecutionError; TooLargeError for values of more than 256 MB, and then options.values: false leaves them out
   * @example const { status } = await client.get(id, { values: false })
   */
  async get(id: string, options: GetOptions = {}): Promise<ExecutionDetails> {
    const execution = await this.#calls.read((sql) => readDetails(sql, id, options))
    if (execution === undefined) throw new UnknownExecutionError(id)
    return execution
  }

  /**
   * The steps of an execution, its waits and children included, in the order in which they were asked for: what each is, how it
   * stands, how long it took, and what it gave.
   * @returns a page, 100 unless options.limit says otherwise; the name of its last one, as `after`, gives the next. Empty when there is no
   *   such execution
   * @throws UsageError for a page size outside 1 to 1000; TooLargeError for a page of more than 256 MB: ask for a smaller one
   * @example const slow = (await client.steps(id)).filter(({ durationMs }) => (durationMs ?? 0) > 60_000)
   */
  async steps(id: string, options: StepsOptions = {}): Promise<ExecutionStep[]> {
    return await this.#calls.read((sql) => readSteps(sql, id, options))
  }

  /**
   * The failed attempts of an execution, the newest first: the error, the step that it came from, its stack, where it ran and when. They are
   * kept as long as the execution, also when a later attempt completed it.
   * @returns a page, 100 unless options.limit says otherwise; the id of its last one, as `before`, gives the next
   * @throws UsageError for a page size outside 1 to 1000; TooLargeError for a page of more than 256 MB: ask for a smaller one
   * @example const [last] = await client.attempts(id, { limit: 1 }); console.log(last?.step, last?.stack)
   */
  async attempts(id: string, options: AttemptsOptions = {}): Promise<FailedAttempt[]> {
    return await this.#calls.read((sql) => readAttempts(sql, id, options))
  }

  /**
   * The executions that an execution has invoked, the oldest first.
   * @returns a page, 100 unless options.limit says otherwise; the id of its last one, as `after`, gives the next
   * @throws UsageError for a page size outside 1 to 1000; TooLargeError for a page of more than 256 MB: ask for a smaller one
   * @example const failed = await client.children(id, { statuses: ['failed'] })
   */
  async children(id: string, options: ChildrenOptions = {}): Promise<ChildExecution[]> {
    return await this.#calls.read((sql) => readChildren(sql, id, options))
  }

  /**
   * Executions that match every filter, the newest first.
   * @returns a page; the id of its last one, as `before`, gives the next
   * @throws UsageError for a page size outside 1 to 1000; TooLargeError for a page of more than 256 MB: ask for a smaller one
   */
  async list(filters: ListOptions = {}): Promise<Execution[]> {
    return await this.#calls.read((sql) => readExecutions(sql, LISTED, listed(filters)))
  }

  /**
   * As list, without inputs, outputs and metadata, which the database does not even read: for tables of many.
   * @returns a page; the id of its last one, as `before`, gives the next
   * @throws UsageError for a page size outside 1 to 1000; TooLargeError for a page of more than 256 MB: ask for a smaller one
   * @example const failed = await client.summaries({ organizationId, statuses: ['failed'], limit: 1000 })
   */
  async summaries(filters: ListOptions = {}): Promise<ExecutionSummary[]> {
    return await this.#calls.read((sql) => readSummaries(sql, LISTED, listed(filters)))
  }

  /**
   * Cancels an execution, be it queued, waiting or running, and its children; handlers that run are aborted.
   * @returns false when it had finished before
   * @throws UnknownExecutionError
   */
  async cancel(id: string, reason?: string, options: CancelOptions = {}): Promise<boolean> {
    const row = await this.#calls.change<{ cancelled: boolean }>({
      text: 'select public.fw_cancel_execution($1, $2, $3) as cancelled',
      values: [id, reason ?? null, options.compensate ?? false],
      executionId: id,
    })
    return row?.cancelled ?? false
  }

  /**
   * Makes an execution fail for good, be it queued, waiting or running: what it has completed is compensated first, then it is
   * dead-lettered with the reason, from where it can be put back. Its children are cancelled; handlers that run are aborted.
   * @param reason kept with the execution and in its dead letter; not empty
   * @returns false when it had finished, or begun to compensate, before
   * @throws UsageError for an empty reason; UnknownExecutionError
   * @example await client.fail(id, 'the order was withdrawn')
   */
  async fail(id: string, reason: string): Promise<boolean> {
    if (reason.trim() === '') throw new UsageError('the reason is empty: say why the execution is to fail')
    const text = 'select public.fw_fail_execution($1, $2) as failed'
    const row = await this.#calls.change<{ failed: boolean }>({ text, values: [id, reason], executionId: id })
    return row?.failed ?? false
  }

  /**
   * Lets an execution that waits for its next run go on from one of its steps, as when it is parked because its code was changed: the step, and
   * all that was asked for or seen after it, happens again; children that still run for it are cancelled. What came before stays.
   * @param step name of the step, as recorded
   * @returns how many steps were forgotten
   * @throws UnknownExecutionError; UnknownStepError; ExecutionStateError for one that runs just now or has finished
   */
  async continueFrom(id: string, step: string): Promise<number> {
    const text = 'select public.fw_continue_from($1, $2) as forgotten'
    const row = await this.#calls.change<{ forgotten: number }>({ text, values: [id, step], executionId: id })
    return row?.forgotten ?? 0
  }

  /**
   * Emits an event: whoever waits for its key in this organization goes on with the payload, and it is kept for those who wait later.
   * @param key 1 to 200 characters, with neither U+0000 nor half of a surrogate pair
   * @param payload JSON of up to result_limit (16 MB)
   * @param options a client that is inside a transaction of the caller's: the event is there if and when that commits
   * @returns the id of the event
   * @throws UsageError for a key that cannot be one, NotJsonError, RefusedError for a payload out of range; nothing is emitted then
   */
  async emit(organizationId: string, key: string, payload?: unknown, options: { transaction?: Queryable } = {}): Promise<string> {
    checkEventKey(key)
    const values = [organizationId, key, payload === undefined ? null : toJsonText(payload, `the payload of event '${key}'`)]
    const row = await this.#calls.change<{ id: string }>({ text: 'select public.fw_emit_event($1, $2, $3) as id', values, transaction: options.transaction })
    if (row === undefined) throw new Error('fw_emit_event returned no id')
    return row.id
  }

  /**
   * Saves the settings of an organization's worker, and makes them where there are none.
   * @param settings what is left out keeps its value
   * @returns the settings as they are then
   * @throws UsageError for a visibility timeout that is no duration, RefusedError for a value out of range; nothing is saved then
   * @example await client.saveSettings(organizationId, { enabled: true, concurrency: 4 })
   */
  async saveSettings(organizationId: string, settings: WorkerSettings): Promise<SavedWorkerSettings> {
    return await saveSettings(this.#calls, organizationId, settings)
  }

  /** Closes the client's own connections; a pool that was passed in stays open. */
  async close(): Promise<void> {
    await this.#watch.settled()
    await this.#calls.close()
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
