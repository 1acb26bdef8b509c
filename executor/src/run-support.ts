// What a run needs of the executor around it, and what its operations need of the run.
import type pg from 'pg'
import type { Compensations } from './compensation.js'
import type { CommitUnknownError, LeaseLostError, PermanentError } from './errors.js'
import type { Failures } from './failures.js'
import type { Logger } from './logger.js'
import type { BackendTransaction, Checkpoint, Claim, StepFate, Wait } from './protocol.js'
import type { Replay } from './replay.js'
import type { Describe } from './thrown.js'

/** What a run needs of the executor around it. */
export interface RunSupport<Subject> {
  /** Resolves when every checkpoint of the run is durable, also one that is on its way; rejects when the lease is lost. */
  makeDurable(run: Subject): Promise<void>
  /** Says that the run has a new checkpoint, which need not be hurried. */
  noteCheckpoint(run: Subject): void
  /** A connection for a transaction step, which releases it. */
  connect(): Promise<pg.PoolClient>
  /** Records a step inside the transaction of this client. */
  checkpoint(client: pg.PoolClient, run: Subject, step: Checkpoint): Promise<void>
  /** Begins waits while steps of the run are still under way. Returns at once. */
  beginWaits(run: Subject, waits: readonly Wait[]): void
  /** What became of a transaction whose commit was not answered: whether this step is recorded. */
  stepFate(run: Subject, step: string, transaction: BackendTransaction): Promise<StepFate>
  /** Records that a step was compensated. Returns false when the lease is lost. */
  recordCompensation(run: Subject, step: string): Promise<boolean>
  /** Notes how far the run is. Returns at once. */
  noteProgress(run: Subject, fraction: number, text: string | undefined): void
  /** A log whose lines say which run they are about. */
  log(run: Subject): Logger
  /** Most characters of all results of one execution together. */
  resultsLimit: number
  /** The text of an error, as it may be kept. */
  readonly describe: Describe
  /** Changes a text that is kept or logged, so that no secret is. */
  readonly redact: (text: string) => string
}

/** A run as its operations see it. */
export interface OpenRun {
  readonly claim: Claim
  readonly support: RunSupport<OpenRun>
  readonly replay: Replay
  /** Steps that have failed. */
  readonly failures: Failures
  /** Of a run that only compensates. */
  readonly compensations: Compensations | undefined
  /** The handler has ended, or the run has: nothing new may be asked for. */
  readonly isEnded: boolean
  /** The handler has returned or thrown. */
  readonly isHandlerDone: boolean
  readonly isStopped: boolean
  /** Why the run cannot succeed any more. */
  readonly failure: PermanentError | undefined
  /** Its compensations run. */
  readonly isUndoing: boolean
  signal(): AbortSignal
  log(): Logger
  note(checkpoint: Checkpoint): void
  stop(reason: LeaseLostError): void
  /** The run ends here and now, and its handler does not hear of it. */
  halt(reason: CommitUnknownError): void
  /** All that can be undone is known. */
  compensate(): void
  throwIfStopped(): void
}
