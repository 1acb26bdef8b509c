// What a handler is given: the durable steps of its execution, and what it may know about itself.
import type pg from 'pg'
import type { Duration } from './duration.js'

export interface StepOptions {
  /** The attempt fails (and is retried) when the step takes longer. The step's signal fires. Default: no limit. */
  timeout?: Duration
}

/** What a step's function is given. */
export interface StepScope {
  /** Fires when the step must stop: its timeout, a lost lease, or the executor stopping. */
  readonly signal: AbortSignal
}

/** The connection of a `ctx.transaction` step: it is inside the transaction, which the step must not end. */
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
   * @throws whatever fn throws; NotJsonError for a result that JSON can't hold; StepTimeoutError
   */
  step<Result>(name: string, fn: (scope: StepScope) => Result | Promise<Result>, options?: StepOptions): Promise<Result>
  /**
   * Runs SQL of the user's own and the checkpoint of the step in one transaction: exactly once.
   * @param name as of step()
   * @param fn gets a client inside a transaction of the executor's database; what it returns must be JSON. The result object of
   *   a query may be returned and counts as null; to keep something of it, return its rows or its rowCount
   * @returns what fn returned, now or in the attempt that completed it
   * @throws whatever fn throws, after a rollback
   */
  transaction<Result>(name: string, fn: (sql: TransactionClient) => Promise<Result>): Promise<TransactionResult<Result>>
}
