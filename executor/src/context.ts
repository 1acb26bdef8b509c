// What a handler is given: the durable steps of its execution, and what it may know about itself.
import type pg from 'pg'
import type { z } from 'zod'
import type { Duration } from './duration.js'
import type { Logger } from './logger.js'
import type { RetryPolicy, Workflow } from './workflow.js'

/** How a compensation is tried: as a step is. Default: 5 tries with backoff. */
export interface CompensateOptions {
  timeout?: Duration
  retry?: RetryPolicy
}

export interface StepOptions<Result = unknown> {
  /**
   * Undoes the step when the execution fails for good, whatever by, or is cancelled with compensation, after the step was completed: the
   * last step first. Any executor may run it, for it calls the handler again with the recorded results to find it; so what it needs it
   * takes from the step's result, which it is given. It may run again when the executor dies in it, and must not start steps.
   */
  compensate?: (result: Result, scope: StepScope) => unknown
  compensateOptions?: CompensateOptions
  /** The attempt fails (and is retried) when the step takes longer. The step's signal fires. Default: no limit. */
  timeout?: Duration
  /**
   * Tries of the step itself, within one attempt of the execution and while it keeps its place. A PermanentError ends them.
   * Default: one try, the attempt fails with the step.
   */
  retry?: RetryPolicy
}

/** What a map does for each item: a step's function, or a workflow that takes the item as its input. */
export type MapWork<Item, Output> = Workflow<Item, Output> | ((item: Item, index: number, scope: StepScope) => Output | Promise<Output>)

export interface SleepOptions {
  /** Name of the wait within the workflow. Default: 'sleep', numbered when it is used again. */
  name?: string
}

export interface InvokeOptions {
  /** Name of the wait within the workflow. Default: the name of the child's workflow, numbered when it is used again. */
  name?: string
}

export interface InstantOptions {
  /** Name of the value within the workflow. Default: 'now', 'random' or 'uuid', numbered when it is used again. */
  name?: string
}

export interface MapOptions {
  /** How many run at a time. Default: 10. */
  concurrency?: number
  /** Name of its steps, which are numbered: `name[0]`, `name[1]`, … Default: 'map'. */
  name?: string
}

export interface WaitOptions<Schema extends z.ZodType> {
  /** How long to wait, up to ten years. Default: for ever. */
  timeout?: Duration
  /** What the payload must be. Default: anything. */
  schema?: Schema
  /** Name of the wait within the workflow. Default: 'event' and the key, numbered when it is used again. */
  name?: string
}

/** What a step's function is given. */
export interface StepScope {
  /** Fires when the step must stop: its timeout, a lost lease, or the executor stopping. */
  readonly signal: AbortSignal
}

/**
 * The connection of a `ctx.transaction` step: it is inside the transaction, which the step must not end. It is a client of pg as your
 * program would make one: with the parsers and defaults that you have set for all of pg, and the settings of your database and role. Queries
 * that are sent side by side run one after the other.
 */
export type TransactionClient = Pick<pg.ClientBase, 'query'>

/** What a `ctx.transaction` step gives: null for the result object of a query, which is not JSON; else what it returned. */
export type TransactionResult<Result> = Result extends pg.QueryResult ? null : Result

export interface Context {
  readonly executionId: string
  readonly organizationId: string
  /** 1 for the first run; a failed attempt, a lost lease included, raises it. */
  readonly attempt: number
  /** Fires when the run must stop: its lease was lost, or the executor stops. Hand it to fetch and the like. */
  readonly signal: AbortSignal
  /**
   * Runs `fn` once and keeps its result: a later attempt gets the result without running it again. It starts only after
   * every earlier step's result is durable.
   * @param name the step's name within the workflow; the second use of a name is recorded as `name#2`
   * @param fn the work; what it returns must be JSON
   * @returns what fn returned, now or in the attempt that completed it
   * @throws whatever fn throws; NotJsonError for a result that JSON can't hold; StepTimeoutError; UsageError when it is started within
   *   another step, as are all of the context's operations that are recorded. After the other step's first await that is noticed from
   *   Node 24 on; before, where noticing costs more, with FW_FIND_NESTED_STEPS=1 in the environment
   */
  step<Result>(name: string, fn: (scope: StepScope) => Result | Promise<Result>, options?: StepOptions<Result>): Promise<Result>
  /**
   * Runs SQL of the user's own and the checkpoint of the step in one transaction: exactly once. fn itself may run again: in a later attempt,
   * or at once when the connection was lost before the commit; what it wrote is rolled back then. When the answer to the commit is lost, the
   * handler stays where it is until it is known whether the transaction was committed; if that cannot be known, the run ends at no attempt
   * and the next one finds out.
   *
   * The transaction is READ COMMITTED, whatever the database's default. Its settings are the step's own: `set local role`, `search_path`,
   * timeouts, `set transaction read only`, and, as the first statement, another isolation level (a serializable one may fail with 40001, at
   * its end too, and is then run again in the next attempt). They hold for fn's statements, deferred constraints and triggers included,
   * which come right after fn, and not for the checkpoint. Nothing that is left in the session reaches another step: settings, temporary
   * tables, advisory locks, LISTEN, prepared statements, cursors.
   * @param name as of step()
   * @param fn gets a client inside a transaction of the executor's database; what it returns must be JSON. The result object of
   *   a query may be returned and counts as null; to keep something of it, return its rows or its rowCount
   * @returns what fn returned, now or in the attempt that completed it
   * @throws whatever fn throws, after a rollback; UsageError, which is not tried again, when fn sends BEGIN, COMMIT or ROLLBACK (savepoints are
   *   its own affair), or makes the transaction read only after it has written something
   * @example
   * const id = await ctx.transaction('book', async (sql) => {
   *   await sql.query('set local role app')
   *   await sql.query("select set_config('app.tenant', $1, true)", [tenant])
   *   return (await sql.query('insert into bookings (cents) values ($1) returning id', [cents])).rows[0].id
   * })
   */
  transaction<Result>(name: string, fn: (sql: TransactionClient) => Promise<Result>): Promise<TransactionResult<Result>>
  /**
   * Waits so long, up to ten years. The execution gives its place back meanwhile and survives restarts; when the time is over its
   * handler runs again from the start, with the results of its steps.
   * @throws UsageError for a duration that is negative or too long
   */
  sleep(duration: Duration, options?: SleepOptions): Promise<void>
  /** Waits until this time, as sleep() does; the clock is the database's. A time in the past is no wait. */
  sleepUntil(time: Date, options?: SleepOptions): Promise<void>
  /**
   * Waits for an event of this key in the execution's organization, as sleep() does. An event that was emitted before the wait is
   * found, as long as it is kept, unless this execution has received it already. Each wait receives an event of its own: two waits for one
   * key at once are over after two events, the one that began first after the first.
   * @param key 1 to 200 characters
   * @returns the payload
   * @throws EventTimeoutError when none came in time; PermanentError for a payload that does not fit the schema
   */
  waitForEvent<Schema extends z.ZodType = z.ZodUnknown>(key: string, options?: WaitOptions<Schema>): Promise<z.output<Schema>>
  /**
   * Runs another workflow as a child and waits for it, as sleep() does. It is an execution of the same organization with retries and a
   * deadline of its own, and cancelling this one cancels it.
   * @param input checked by the child's schema
   * @returns the child's output
   * @throws ChildFailedError when it failed, timed out or was cancelled; UsageError for an input that does not fit its schema
   */
  invoke<Input, Output>(workflow: Workflow<Input, Output>, input: Input, options?: InvokeOptions): Promise<Output>
  /**
   * Runs a function as a step, or a workflow as a child, for each item, some at a time.
   * @param items at most 10,000
   * @param work a step's function, or a workflow that takes an item as its input
   * @param options how many at a time (default: 10), and the name of its steps (default: 'map')
   * @returns the results in the order of the items
   * @throws the error of the first that fails; UsageError for too many items
   */
  map<Item, Output>(
    items: readonly Item[],
    work: MapWork<Item, Output>,
    options?: MapOptions,
  ): Promise<Output[]>
  /** The time when this was first asked here, by this machine's clock; recorded. */
  now(options?: InstantOptions): Date
  /** A number from 0 to below 1; recorded. */
  random(options?: InstantOptions): number
  /** A random uuid; recorded. */
  uuid(options?: InstantOptions): string
  /** Notes how far the execution is, 0 to 1, and in words, for whoever watches it. Not awaited; the last word counts. */
  progress(fraction: number, text?: string): void
  /** The executor's log, each line with the execution, the workflow and the attempt. */
  readonly log: Logger
}
