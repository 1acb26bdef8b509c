// The public API: define workflows, enqueue executions, run them.
export { Client } from './client.js'
export type * from './client-options.js'
export type { Context, CompensateOptions, InstantOptions, InvokeOptions, MapOptions, SleepOptions, StepOptions, StepScope, TransactionClient, WaitOptions } from './context.js'
export { IsolationError } from './connections.js'
export { Defer } from './defer.js'
export type { Duration } from './duration.js'
export {
  ERROR_CATEGORIES,
  type ErrorCategory,
  ChangedWorkflowError,
  ChildFailedError,
  CommitUnknownError,
  EventTimeoutError,
  ExecutionEndedError,
  ExecutionFailedError,
  ExecutionStateError,
  ExecutorStoppedError,
  LeaseLostError,
  NotJsonError,
  type Obstacle,
  PermanentError,
  RefusedError,
  ResultTimeoutError,
  SchemaVersionError,
  StepTimeoutError,
  TooLargeError,
  UnknownExecutionError,
  UnknownStepError,
  UsageError,
  WorkerError,
} from './errors.js'
export type { AttemptsOptions, ChildExecution, ChildrenOptions, Execution, ExecutionDetails, ExecutionStep, ExecutionSummary, FailedAttempt, GetOptions, StepsOptions } from './execution-details.js'
export { Executor } from './executor.js'
export type { ExecutorOptions, ExecutorStats, StopOptions } from './executor-options.js'
export type { Logger } from './logger.js'
export * from './migrate/index.js'
export type { ClientWarning } from './obstacles.js'
export { isWorkflow, type RetryPolicy, workflow, type Workflow, type WorkflowOptions } from './workflow.js'
