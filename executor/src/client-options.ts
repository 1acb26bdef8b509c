// What a client can be told: when it is made, and with each of its calls.
import type pg from 'pg'
import type { Duration } from './duration.js'
import type { Execution } from './execution-details.js'
import type { ClientWarning } from './obstacles.js'
import type { Queryable } from './protocol.js'
import type { Workflow } from './workflow.js'

declare const outputOf: unique symbol

/** Id of an execution, a uuid; remembers the type of the output for result(). */
export type ExecutionId<Output = unknown> = string & { readonly [outputOf]?: Output }

/**
 * The database's URL, for connections of the client's own, which prepare their statements: direct, or through a pooler that
 * supports that (PgBouncer from 1.21). Or a pool of the caller's, on which no statement is prepared, and whose parsers of columns and
 * settings (isolation, date style) change nothing here.
 */
export type ClientOptions = ({ connectionString: string } | { pool: pg.Pool }) & {
  /**
   * Gets a warning when what was enqueued, or is waited for, does not start: the organization's worker is disabled, no live executor runs the
   * workflow, all slots are taken, or the worker is paused. It is called some time after enqueue() has returned, at most once a minute for each
   * workflow and organization. Default: process.emitWarning(), which writes a line to standard error.
   */
  onWarning?: (warning: ClientWarning) => void
}

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

/** Settings of an organization; what is left out keeps its value, at first 10, 30 s and 1. */
export interface WorkerSettings {
  /** Whether its work may start. */
  enabled: boolean
  /** Executions in a batch, 1 to 50. */
  batchSize?: number
  /** How long a lease lasts unless it is extended, in whole seconds, '30s' to '10m'. */
  visibilityTimeout?: Duration
  /** Batches in flight, 1 to 100. */
  concurrency?: number
}

/** Settings as they were saved. */
export interface SavedWorkerSettings {
  enabled: boolean
  batchSize: number
  visibilityTimeoutMs: number
  concurrency: number
}
