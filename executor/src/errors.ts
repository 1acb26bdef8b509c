// The errors that a user of the package meets. Each has a code that stays the same when the wording changes.

/** What kind of thing went wrong; kept with a failed execution and in its dead letter. */
export const ERROR_CATEGORIES = [
  'CONFIG',
  'VALIDATION',
  'AUTHORIZATION',
  'NOT_FOUND',
  'RUNTIME',
  'TIMEOUT',
  'EXTERNAL_SERVICE',
] as const
export type ErrorCategory = (typeof ERROR_CATEGORIES)[number]

/** Base of every error that this package throws. */
export class WorkerError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** Throw it in a handler or a step when trying again cannot help: the execution is dead-lettered at once. */
export class PermanentError extends WorkerError {
  readonly category: ErrorCategory

  constructor(message: string, options: ErrorOptions & { category?: ErrorCategory } = {}) {
    super('PERMANENT', message, options)
    this.category = options.category ?? 'RUNTIME'
  }
}

/** An event that was waited for did not come in time. Catch it to go on without. */
export class EventTimeoutError extends PermanentError {
  readonly key: string

  constructor(key: string) {
    super(`no event '${key}' came in time`, { category: 'TIMEOUT' })
    this.key = key
  }
}

/** A child did not complete. Catch it to go on without. */
export class ChildFailedError extends PermanentError {
  readonly childId: string
  /** How it ended: failed, timed_out or cancelled. */
  readonly status: string

  constructor(workflow: string, child: { id: string; status: string; error: string | null; category: string | null }) {
    const category = ERROR_CATEGORIES.find((known) => known === child.category)
    super(
      `child ${child.id} of workflow '${workflow}' is ${child.status}${child.error === null ? '' : `: ${child.error}`}`,
      category === undefined ? {} : { category },
    )
    this.childId = child.id
    this.status = child.status
  }
}

/**
 * The code of a workflow does not fit what an execution has recorded. The execution is parked: nothing of it is undone, it is no failed
 * attempt, and it goes on once code that fits is there.
 */
export class ChangedWorkflowError extends WorkerError {
  /** What was recorded, and what was asked for in its place, each in words. */
  readonly recorded: string
  readonly asked: string

  constructor(workflow: string, recorded: string, asked: string) {
    super(
      'CHANGED_WORKFLOW',
      `the code of workflow '${workflow}' does not fit what this execution has recorded: it asked for ${asked} where ${recorded} was recorded. Either its code was changed while the execution was under way, or it decides by something that is not recorded, such as Math.random() or Date.now()`,
    )
    this.recorded = recorded
    this.asked = asked
  }
}

/** An input, output or step result that JSON cannot hold, with the path of the value. */
export class NotJsonError extends PermanentError {
  /** Where in the value, such as `$.lines[2].price`. */
  readonly path: string

  constructor(what: string, path: string, reason: string) {
    super(`${what} is not JSON: ${path} is ${reason}`, { category: 'VALIDATION' })
    this.path = path
  }
}

/** A step did not finish within its timeout. The attempt fails and is retried. */
export class StepTimeoutError extends WorkerError {
  readonly category = 'TIMEOUT' satisfies ErrorCategory

  constructor(step: string, milliseconds: number) {
    super('STEP_TIMEOUT', `step '${step}' did not finish within ${milliseconds} ms`)
  }
}

/** The lease of the batch was lost: another executor goes on with the execution, and nothing of this run is written. */
export class LeaseLostError extends WorkerError {
  constructor(executionId: string) {
    super('LEASE_LOST', `the lease on execution ${executionId} was lost; another executor goes on with it`)
  }
}

/** The execution was ended from outside: its deadline passed, or it was cancelled. Nothing more of this run is written. */
export class ExecutionEndedError extends WorkerError {
  constructor(executionId: string, reason: string) {
    super('EXECUTION_ENDED', `execution ${executionId} was ended: ${reason}`)
  }
}

/** The executor stops and hands the execution back; it costs no attempt. */
export class ExecutorStoppedError extends WorkerError {
  constructor(message = 'the executor is stopping; the execution is handed back and costs no attempt', options?: ErrorOptions) {
    super('EXECUTOR_STOPPED', message, options)
  }
}

/**
 * Nobody can say whether the transaction of a step was committed, so the run ends here, handed back at no attempt. The next run finds
 * the step's checkpoint, or does not.
 */
export class CommitUnknownError extends ExecutorStoppedError {
  constructor(step: string, options?: ErrorOptions) {
    super(`whether the transaction of step '${step}' was committed is not known; the run ends here, and the next one finds it out`, options)
  }
}

/** A call was made with arguments that cannot work. */
export class UsageError extends WorkerError {
  constructor(message: string, options?: ErrorOptions) {
    super('USAGE', message, options)
  }
}

/** The database's SQL API and this package do not fit together: SCHEMA_MISSING, SCHEMA_OLDER or SCHEMA_NEWER. */
export class SchemaVersionError extends WorkerError {}

/** Asked for an execution that does not exist. */
export class UnknownExecutionError extends WorkerError {
  constructor(executionId: string, options?: ErrorOptions) {
    super('UNKNOWN_EXECUTION', `there is no execution ${executionId}`, options)
  }
}

/** What an error of the database says beside its message. */
export interface DatabaseErrorOptions extends ErrorOptions {
  detail?: string | undefined
  hint?: string | undefined
}

/** The database refused a call. Nothing was changed. */
export class RefusedError extends WorkerError {
  /** More about what was refused, and what to do about it; undefined where the database says nothing. */
  readonly detail: string | undefined
  readonly hint: string | undefined

  /** Codes are VALUE_REFUSED, for an argument that cannot be, and LIMIT_EXCEEDED, for one that is larger than a limit of fw_worker_config. */
  constructor(code: string, message: string, { detail, hint, ...options }: DatabaseErrorOptions = {}) {
    super(code, message, options)
    this.detail = detail
    this.hint = hint
  }
}

/** What was asked for is too large to be sent. It is there, and can be read in parts. */
export class TooLargeError extends WorkerError {
  /** Bytes of the answer as JSON; undefined when not even the database can make a text of it. */
  readonly bytes: number | undefined

  constructor(bytes: number | undefined, most: number, options?: ErrorOptions) {
    super(
      'TOO_LARGE',
      `what was asked for ${bytes === undefined ? 'is larger than any text that Postgres can hold' : `has ${bytes} bytes`}; one answer may have ${most}. Ask for fewer ` +
        'at once (limit), or without what is large (values: false). In SQL, output #> \'{path}\' reads a part of one output in fw_workflow_executions, ' +
        'and of one output_data in fw_execution_steps',
      options,
    )
    this.bytes = bytes
  }
}

/** Asked for a step that the execution does not have. */
export class UnknownStepError extends RefusedError {
  constructor(message: string, options?: DatabaseErrorOptions) {
    super('UNKNOWN_STEP', message, options)
  }
}

/** The execution is in a state in which this cannot be done to it. */
export class ExecutionStateError extends RefusedError {
  constructor(message: string, options?: DatabaseErrorOptions) {
    super('EXECUTION_STATE', message, options)
  }
}

/** The execution whose result was asked for ended without one. */
export class ExecutionFailedError extends WorkerError {
  readonly executionId: string
  readonly status: string
  readonly category: string | null

  constructor(executionId: string, status: string, error: string | null, category: string | null) {
    super('EXECUTION_FAILED', `execution ${executionId} is ${status}${error === null ? '' : `: ${error}`}`)
    this.executionId = executionId
    this.status = status
    this.category = category
  }
}

/** What keeps an execution from starting: that the worker is paused, its organization's is disabled, nobody runs its workflow, all slots are taken. */
export interface Obstacle {
  kind: 'paused' | 'organization_disabled' | 'no_executor' | 'slots_full'
  /** In words, and what to do about it. */
  detail: string
  hint: string
}

/** The execution has not finished within the time that the caller would wait; it goes on all the same. */
export class ResultTimeoutError extends WorkerError {
  /** Its status when it was asked for last; undefined when the database could not be asked, and then the cause says why. */
  readonly status: string | undefined
  /** What keeps it from starting; empty when nothing does. */
  readonly obstacles: readonly Obstacle[]

  constructor(executionId: string, milliseconds: number, status: string | undefined, obstacles: readonly Obstacle[] = [], options?: ErrorOptions) {
    const why = obstacles.map(({ detail, hint }) => `: ${detail} (${hint})`).join('')
    super(
      'RESULT_TIMEOUT',
      status === undefined
        ? `the database could not be asked within ${milliseconds} ms how execution ${executionId} stands`
        : `execution ${executionId} is still ${status} after ${milliseconds} ms; it goes on${why}`,
      options,
    )
    this.status = status
    this.obstacles = obstacles
  }
}
