// What `durable-execution-worker/client` exports: all that a program needs that enqueues and waits, and that defines workflows for it. It imports
// neither executor nor migrator, nor anything that looks for files beside it, so it can be bundled.
export { Client } from './client.js'
export type * from './client-options.js'
export type { Duration } from './duration.js'
export {
  ERROR_CATEGORIES,
  type ErrorCategory,
  ExecutionFailedError,
  ExecutionStateError,
  NotJsonError,
  type Obstacle,
  RefusedError,
  ResultTimeoutError,
  TooLargeError,
  UnknownExecutionError,
  UnknownStepError,
  UsageError,
  WorkerError,
} from './errors.js'
export type { AttemptsOptions, ChildExecution, ChildrenOptions, Execution, ExecutionDetails, ExecutionStep, FailedAttempt, GetOptions, StepsOptions } from './execution-details.js'
export type { ClientWarning } from './obstacles.js'
export { isWorkflow, type RetryPolicy, workflow, type Workflow, type WorkflowOptions } from './workflow.js'
