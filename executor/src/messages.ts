// What goes over the SQL API and what comes back, as protocol.ts hands it on.
import type { RecordedError } from './recorded-error.js'

/** One execution as it is handed over. */
export interface Claim {
  batchId: string
  organizationId: string
  leaseMs: number
  executionId: string
  workflowName: string
  attempt: number
  input: unknown
  /** What earlier runs have recorded, in the order of their steps; of a claim that resumes it is read before the run begins. */
  steps: Recorded[]
  /** What was recorded, or the input, is still to be read. */
  isResuming?: true
  /** It is decided that the execution ends without success: the run only compensates what its steps have done. */
  compensating?: Compensating
}

export interface Compensating {
  /** How it ends then: failed, timed_out or cancelled. */
  status: string
  error: string
  category: string | null
}

/** A step as earlier runs have recorded it. */
export interface Recorded {
  name: string
  index: number
  output: unknown
  /** It gave nothing: `undefined`, and not null. */
  nothing?: true
  /** What was asked, in words; undefined for a plain step, and for what an executor of an older version recorded. */
  asked?: string
  /** The place that the next result would have taken when it was asked for; undefined when that is the index. */
  asked_order?: number
  /** Its place in the order in which the handler saw results; undefined when that is the index, negative when it is loose. */
  order?: number
  /** The map of children that it belongs to. */
  group?: string
  /** A wait that goes on. */
  waiting?: true
  /** A wait that an executor of an older version has begun. */
  wait?: true
  /** It has failed, and the handler has gone on from this error. */
  error?: RecordedError
  /** Of a wait for an event: it did not come in time. */
  timed_out?: true
  /** Of a child that did not complete. */
  child?: { id: string; status: string; error?: string; category?: string }
  compensated?: true
  /** It was recorded with a compensation. */
  compensable?: boolean
}

/** A part of what a run resumes from. */
export interface RecordedPage {
  steps: Recorded[]
  /** Characters of JSON text. */
  bytes: number
  /** JSON text, of one that the claim did not hand over. */
  input: string | undefined
  /** Whether this was the last of it, or the lease is lost. */
  state: 'more' | 'last' | 'fenced'
}

/** A sleep, or a wait for an event or a child. */
export interface Wait {
  name: string
  index: number
  /** In words. */
  asked: string
  askedOrder?: number
  /** From now; undefined for no limit, or with `until`. */
  milliseconds?: number
  until?: Date
  /** Of the event. */
  key?: string
  child?: {
    workflow: string
    /** JSON text. */
    input: string
    /** The map that it belongs to, and how many of it may be under way. */
    group?: string
    limit?: number
  }
}

export interface Suspension {
  executionId: string
  batchId: string
  waits: readonly Wait[]
}

export interface SuspensionOutcome {
  outcome: 'waiting' | 'fenced'
  /** Null when only an event wakes it. */
  wakeInMs: number | null
}

/** A step that has completed or failed. */
export interface Checkpoint {
  name: string
  index: number
  /** JSON text; undefined when it gave nothing, or has failed. */
  output: string | undefined
  durationMs: number
  /** What was asked, in words; undefined for a plain step. */
  asked?: string
  askedOrder?: number
  /** Its place in the order of what the handler has seen; undefined when that is the index. */
  order?: number
  /** JSON text of the error that the handler has seen, with "again" when the step is to be run again. */
  error?: string
  /** It can be undone. */
  isCompensable?: true
}

/** What is reported of one execution: checkpoints, and its output once it is done. */
export interface Report {
  executionId: string
  batchId: string
  isDone: boolean
  /** JSON text; undefined for none. */
  output: string | undefined
  checkpoints: readonly Checkpoint[]
}

export interface Failure {
  executionId: string
  batchId: string
  error: string
  category: string
  permanent: boolean
  /** The step that it came from. */
  step?: string
  stack?: string
}

export interface FailureOutcome {
  outcome: 'retry_pending' | 'failed' | 'fenced'
  retryInMs: number | null
}

/** How far an execution is, 0 to 1, and in words. */
export interface ProgressNote {
  executionId: string
  batchId: string
  fraction: number
  text: string | undefined
}

/** An execution whose recorded steps the code does not fit. */
export interface Parking {
  executionId: string
  batchId: string
  /** What was recorded, what was asked for instead, each in words, and both in a sentence. */
  recorded: string
  asked: string
  reason: string
}

export interface ParkingOutcome {
  outcome: 'parked' | 'fenced'
  retryInMs: number | null
}

/** An execution that was ended from outside while it ran. */
export interface Ended {
  executionId: string
  batchId: string
  reason: string
}

export interface Job {
  name: string
}

/** A transaction in the server, by which its session is found again. */
export interface BackendTransaction {
  /** Process id of the session. */
  pid: number
  /** Of the transaction, an xid8. */
  id: string
}

/** The step is recorded; it is not, and never will be by that transaction; the lease is lost. */
export type StepFate = 'recorded' | 'absent' | 'fenced'
