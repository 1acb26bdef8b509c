// What goes over the SQL API and what comes back, as protocol.ts hands it on.

/** One execution as it is handed over. */
export interface Claim {
  batchId: string
  organizationId: string
  leaseMs: number
  executionId: string
  workflowName: string
  attempt: number
  input: unknown
  /** What earlier runs have recorded, in the order of their steps. */
  steps: Recorded[]
  /** The execution has failed or was cancelled for good, and what its steps have done is to be compensated. */
  compensating?: Compensating
}

export interface Compensating {
  /** How it ends then: failed or cancelled. */
  status: string
  error: string
  category: string | null
}

/** The result of a step as an earlier run recorded it. */
export interface Recorded {
  name: string
  index: number
  output: unknown
  /** Of a wait for an event: it did not come in time. */
  timed_out?: true
  /** Of a child that did not complete. */
  child?: { id: string; status: string; error: string | null; category: string | null }
  compensated?: true
}

/** A sleep, or a wait for an event or a child. */
export interface Wait {
  name: string
  index: number
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

export interface Checkpoint {
  name: string
  index: number
  /** JSON text. */
  output: string
  durationMs: number
}

/** What is reported of one execution: checkpoints, and the output (JSON text) once it is done. */
export interface Report {
  executionId: string
  batchId: string
  output?: string
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

/** An execution that was ended from outside while it ran. */
export interface Ended {
  executionId: string
  batchId: string
  reason: string
}

export interface Job {
  name: string
  /** A statement. */
  command: string
}
