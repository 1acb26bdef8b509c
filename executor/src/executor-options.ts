// What an executor can be told when it is made and stopped, what it tells of itself, and what is wrong with the former.
import type { Duration } from './duration.js'
import { UsageError } from './errors.js'
import type { Logger } from './logger.js'
import type { Workflow } from './workflow.js'

export interface ExecutorOptions {
  connectionString: string
  /** What this executor can run. */
  workflows: readonly Workflow[]
  /** Most executions in flight. Default: 100. */
  concurrency?: number
  /** Connections that claims and reports go over. Default: 2. */
  lanes?: number
  /** Most connections for transaction steps. Default: 10. */
  poolSize?: number
  /** How often an idle executor looks for work by itself. Default: '1s'. */
  pollInterval?: Duration
  /** Shown to administrators. Default: host name and process id. */
  name?: string
  /** Any pino logger. Default: warnings and errors, as JSON lines on standard error. */
  logger?: Logger
  /**
   * Changes texts before they are kept in the database or logged, so that no secret is: of every error the message, the parts of its stack, its
   * properties (such as the `detail` of the driver) and its causes; what a schema says of an input; the text of the progress; what
   * handlers write with `ctx.log`. Names, inputs and results are kept as they are. One that throws takes all of the text out.
   * Default: as they are.
   */
  redact?: (error: string) => string
  /**
   * Puts the stack of an error in the place of its message, too. Default: false.
   * @deprecated The stack is always kept, apart from the message.
   */
  errorStacks?: boolean
}

export interface StopOptions {
  /** How long running executions may take to finish; what is left then is handed back, at no attempt. Default: '25s', less than Kubernetes waits before it kills. */
  timeout?: Duration
}

/** Counts since the start. */
export interface ExecutorStats {
  claimed: number
  completed: number
  /** Failed attempts that will be retried. */
  retried: number
  deadLettered: number
  /** Began to wait: for a time, or for an event. */
  waiting: number
  /** Parked, because the code does not fit what they have recorded. */
  parked: number
  /** Handed back. */
  released: number
  /** Runs whose lease was lost. */
  fenced: number
  /** Runs whose execution was ended from outside: it missed its deadline or was cancelled. */
  ended: number
  inFlight: number
}

/** @throws UsageError for what is not a count of at least one */
export function checkCounts(counts: Record<string, number>): void {
  for (const [what, value] of Object.entries(counts)) {
    if (!Number.isInteger(value) || value < 1) throw new UsageError(`${what} is ${value}; allowed are whole numbers from 1`)
  }
}

/** @throws UsageError for no workflows, or two of one name */
export function byName(workflows: readonly Workflow[]): Map<string, Workflow> {
  if (workflows.length === 0) throw new UsageError('an executor needs at least one workflow')
  const named = new Map(workflows.map((each) => [each.name, each]))
  if (named.size < workflows.length) throw new UsageError('two workflows have the same name')
  return named
}
