// Defining a workflow: a name, the schema of its input, how it is retried, and the handler that runs it.
import { z } from 'zod'
import type { Context } from './context.js'
import { type Duration, toMilliseconds } from './duration.js'
import { UsageError } from './errors.js'
import type { MustBeJson } from './json-types.js'

export interface RetryPolicy {
  /** Attempts in all before the dead letter, 1 to 100. Default: 5. */
  maxAttempts?: number
  backoff?: {
    /** Longest wait after the first failed attempt. The wait is drawn at random between 0 and this. Default: '1s'. */
    initial?: Duration
    /** What the longest wait is multiplied by after each failed attempt, 1 to 100. Default: 2. */
    factor?: number
    /** Cap of the longest wait. Default: '5m'. */
    max?: Duration
  }
}

export interface WorkflowOptions<Schema extends z.ZodType> {
  /** 1 to 200 characters; what executions are enqueued by. */
  name: string
  /** Checked before each run; input that fails it is dead-lettered at once. */
  input: Schema
  retry?: RetryPolicy
  /**
   * From the start of the first attempt to the deadline of an execution, in whole minutes, '1m' to '24h'. Default: '1h'.
   * The database looks every 5 minutes.
   */
  timeout?: Duration
  /**
   * What becomes of an execution that misses its deadline: 'fail' ends it as timed_out and dead-letters it, 'cancel' ends it
   * as cancelled, 'escalate' ends it as timed_out and gives administrators a notice. Default: 'fail'.
   */
  onTimeout?: 'fail' | 'cancel' | 'escalate'
  /**
   * Whether the compensations of its completed steps run first when a deadline ends an execution: its own, or that of the execution
   * that invoked it. They have the timeout anew. Default: true.
   */
  compensateOnTimeout?: boolean
}

/** Policies as the database keeps them. */
export interface RegisteredWorkflow {
  name: string
  max_attempts: number
  backoff_initial_ms: number
  backoff_factor: number
  backoff_max_ms: number
  timeout_minutes: number
  on_timeout: 'fail' | 'cancel' | 'escalate'
  compensate_on_timeout: boolean
}

const WORKFLOW = Symbol.for('durable-execution-worker.workflow')

/** A workflow, for enqueueing and for an executor to run. `Input` is what is enqueued, `Output` what the handler returns. */
export interface Workflow<Input = unknown, Output = unknown> {
  readonly [WORKFLOW]: true
  readonly name: string
  readonly schema: z.ZodType<unknown, Input>
  readonly policy: RegisteredWorkflow
  /** Runs the handler on input that has passed the schema. */
  readonly run: (ctx: Context, input: unknown) => Promise<Output>
}

/**
 * Defines a workflow.
 * @param options name, input schema, retry policy and timeout
 * @param handler gets the context and the parsed input; what it returns is the execution's output, which JSON must be able to hold: a Date or a
 *   Map, say, does not compile
 * @throws UsageError for a name, a retry policy or a timeout out of range
 */
export function workflow<Schema extends z.ZodType, Returned>(
  options: WorkflowOptions<Schema>,
  handler: (ctx: Context, input: z.output<Schema>) => Returned & MustBeJson<Awaited<Returned>, 'output'>,
): Workflow<z.input<Schema>, Awaited<Returned>> {
  const { name, input, retry = {}, onTimeout = 'fail', compensateOnTimeout = true } = options
  if (name.length < 1 || name.length > 200) {
    throw new UsageError(`a workflow name has 1 to 200 characters, not ${name.length}`)
  }
  const { backoff = {} } = retry
  const call: (ctx: Context, input: z.output<Schema>) => unknown = handler
  const run = async (ctx: Context, parsed: unknown): Promise<unknown> => await call(ctx, parsed as z.output<Schema>)
  return {
    [WORKFLOW]: true,
    name,
    schema: input as unknown as z.ZodType<unknown, z.input<Schema>>,
    policy: {
      name,
      max_attempts: inRange(retry.maxAttempts ?? 5, 1, 100, name, 'retry.maxAttempts', true),
      backoff_initial_ms: toMilliseconds(backoff.initial ?? '1s', `${name}: retry.backoff.initial`),
      backoff_factor: inRange(backoff.factor ?? 2, 1, 100, name, 'retry.backoff.factor', false),
      backoff_max_ms: toMilliseconds(backoff.max ?? '5m', `${name}: retry.backoff.max`),
      timeout_minutes: inRange(toMilliseconds(options.timeout ?? '1h', `${name}: timeout`) / 60_000, 1, 1440, name, 'timeout in minutes', true),
      on_timeout: onTimeout,
      compensate_on_timeout: compensateOnTimeout,
    },
    run: run as Workflow<z.input<Schema>, Awaited<Returned>>['run'],
  }
}

/** Whether a value, such as an export of a module, was made by workflow(). */
export function isWorkflow(value: unknown): value is Workflow {
  return typeof value === 'object' && value !== null && WORKFLOW in value
}

/**
 * Checks an input against the schema of its workflow; without a turn of the event loop where the schema allows. JSON knows no `undefined`:
 * where null does not fit and nothing at all does, as with z.void() and optional inputs, null stands for that.
 */
export function parseInput<Input, Output>(
  { schema }: Workflow<Input, Output>,
  input: unknown,
): z.ZodSafeParseResult<unknown> | Promise<z.ZodSafeParseResult<unknown>> {
  const parsed = parse(schema, input)
  if (input !== null) return parsed
  return parsed instanceof Promise ? parsed.then((result) => orNothing(schema, result)) : orNothing(schema, parsed)
}

function orNothing(schema: z.ZodType, result: z.ZodSafeParseResult<unknown>): z.ZodSafeParseResult<unknown> | Promise<z.ZodSafeParseResult<unknown>> {
  if (result.success) return result
  const nothing = parse(schema, undefined)
  if (nothing instanceof Promise) return nothing.then((other) => (other.success ? other : result))
  return nothing.success ? nothing : result
}

function parse(schema: z.ZodType, input: unknown): z.ZodSafeParseResult<unknown> | Promise<z.ZodSafeParseResult<unknown>> {
  try {
    return schema.safeParse(input)
  } catch (error) {
    if (error instanceof z.core.$ZodAsyncError) return schema.safeParseAsync(input)
    throw error
  }
}

function inRange(value: number, low: number, high: number, name: string, what: string, whole: boolean): number {
  if (!(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
    throw new UsageError(`${name}: ${what} is ${value}, outside ${low} to ${high}`)
  }
  return value
}
