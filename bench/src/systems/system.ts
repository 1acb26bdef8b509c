// What the bench asks of every system that it measures: the product, each peer, and the floor (pgmq with nothing on
// top). A system runs in a process of its own, on a database of its own that is empty but for the extension pgmq.
import type { Client } from 'pg'

/** The systems by the names that the table, the JSON and the chart show. */
export const systemNames = ['durable-execution-worker', 'graphile-worker', 'pg-boss', 'dbos', 'absurd', 'pgmq'] as const
export type SystemName = (typeof systemNames)[number]

/** How one case wants its work done. */
export interface Load {
  /** Durable steps of each execution. 0 is the system's barest job: an empty handler. */
  readonly steps: number
  /** The most executions the case will hand over: a system may size its buffers by it. */
  readonly count: number
  /** What the case measures, for a system whose documentation gives other settings for either. Default: throughput. */
  readonly purpose?: 'throughput' | 'latency'
}

/** A worker that is taking work. */
export interface Worker {
  /** Stops taking work, finishes what runs, closes every connection of the worker. */
  stop(): Promise<void>
}

/** A system, installed on one database. Every time is taken by the caller. */
export interface Session {
  /** Enqueues `count` executions as fast as the system's own documented API can; the time it takes is the "enqueue in
   * batches" case when `batch` is given (the size of one call), else it is not measured and any documented way will do. */
  fill(count: number, batch?: number): Promise<void>
  /** Enqueues one, in the system's ordinary way, and resolves when it is durable. `marker` comes back in `started`. */
  enqueue(marker: number): Promise<void>
  /** Enqueues one inside a transaction of the caller's, which the caller commits; undefined where a system can't. */
  readonly enqueueWithin?: (client: Client, marker: number) => Promise<void>
  /** Starts one worker. `started` is called in the first step's body (or the bare job's handler) of each execution.
   * `finished` is called once for each execution that the process knows to be over: its end need not be durable yet. */
  work(on: { started?: (marker: number) => void; finished?: () => void }): Promise<Worker>
  /** How many executions are not durably finished, asked of the database (cheap enough to be polled at the end). */
  unfinished(): Promise<number>
  /** Closes what the session holds; a worker must have been stopped before. */
  close(): Promise<void>
}

export interface System {
  readonly name: SystemName
  /** Version of the package (or of the SQL file) that runs. */
  readonly version: string
  /** The settings that it runs with and where its own documentation gives them, in one line. */
  readonly settings: string
  /** The step counts that it knows: [0] for a job queue without steps. */
  readonly steps: readonly number[]
  /** Installs the system's schema on the empty database at `url` and prepares it for `load`. */
  install(url: string, load: Load): Promise<Session>
}
