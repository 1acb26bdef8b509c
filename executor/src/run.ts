// One execution in this executor, from its claim to its outcome: the context that its handler sees, the checkpoints that
// are not yet durable, and how what the handler throws is understood.
import type pg from 'pg'
import { z } from 'zod'
import type { Context, StepOptions, StepScope, TransactionClient } from './context.js'
import { toMilliseconds } from './duration.js'
import {
  ERROR_CATEGORIES,
  ExecutorStoppedError,
  LeaseLostError,
  NotJsonError,
  PermanentError,
  StepTimeoutError,
  UsageError,
} from './errors.js'
import { toJson } from './json.js'
import { type Checkpoint, type Claim, SQLSTATE } from './protocol.js'
import type { Workflow } from './workflow.js'

/** What a run needs of the executor around it. */
export interface RunSupport {
  /** Resolves when the checkpoints that the run has pending are durable; rejects when the lease is lost. */
  makeDurable(run: Run): Promise<void>
  /** Says that the run has a new checkpoint, which need not be hurried. */
  noteCheckpoint(run: Run): void
  /** A connection for a transaction step; the run releases it. */
  connect(): Promise<pg.PoolClient>
  /** Records a step inside the transaction of this client. */
  checkpoint(client: pg.PoolClient, run: Run, step: Checkpoint): Promise<void>
}

export type Outcome =
  | { kind: 'completed'; output: string }
  | { kind: 'failed'; error: string; category: string; permanent: boolean }
  /** Nothing may be written any more. */
  | { kind: 'lost' }
  /** To be handed back. */
  | { kind: 'stopped' }

const LONGEST_ERROR = 10_000

export class Run {
  readonly claim: Claim
  /** Completed in this run, not yet reported. Whoever reports takes them. */
  pending: Checkpoint[] = []

  readonly #workflow: Workflow
  readonly #support: RunSupport
  #stopped: LeaseLostError | ExecutorStoppedError | undefined
  /** Made when somebody asks for the signal: most runs never do. */
  #abort: AbortController | undefined
  readonly #scope: StepScope
  readonly #completed: Map<string, unknown>
  readonly #uses = new Map<string, number>()
  #steps = 0
  #ended = false
  #failure: PermanentError | undefined

  constructor(claim: Claim, workflow: Workflow, support: RunSupport) {
    this.claim = claim
    this.#workflow = workflow
    this.#support = support
    this.#completed = new Map(claim.steps.map(({ name, output }) => [name, output]))
    const signal = (): AbortSignal => this.#signal()
    this.#scope = {
      get signal() {
        return signal()
      },
    }
  }

  /** Stops the run: its signal fires, and no step of it starts or is recorded any more. */
  stop(reason: LeaseLostError | ExecutorStoppedError): void {
    this.#stopped ??= reason
    this.#abort?.abort(reason)
  }

  /** The run cannot succeed any more: no step of it starts, and its outcome is this error. */
  fail(error: PermanentError): void {
    this.#failure ??= error
  }

  /** Parses the input and runs the handler. Never rejects. */
  async execute(): Promise<Outcome> {
    try {
      const input = await parse(this.#workflow.schema, this.claim.input)
      const result = await this.#workflow.run(this.#context(), input)
      this.#throwIfStopped()
      return { kind: 'completed', output: toJson(result, `the output of workflow '${this.#workflow.name}'`) }
    } catch (error) {
      return this.#outcomeOf(error)
    } finally {
      this.#ended = true
    }
  }

  #signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#stopped !== undefined) this.#abort.abort(this.#stopped)
    }
    return this.#abort.signal
  }

  #context(): Context {
    const { executionId, organizationId, attempt } = this.claim
    const scope = this.#scope
    return {
      executionId,
      organizationId,
      attempt,
      get signal() {
        return scope.signal
      },
      step: (name, fn, options) => this.#step(name, fn, options),
      transaction: (name, fn) => this.#transaction(name, fn),
    }
  }

  async #step<Result>(
    name: string,
    fn: (scope: StepScope) => Result | Promise<Result>,
    options: StepOptions = {},
  ): Promise<Result> {
    const place = this.#place(name)
    if (this.#completed.has(place.name)) return this.#completed.get(place.name) as Result
    if (this.pending.length > 0) await this.#support.makeDurable(this)
    this.#throwIfStopped()
    const started = performance.now()
    const result = await (options.timeout === undefined
      ? fn(this.#scope)
      : this.#withTimeout(place.name, toMilliseconds(options.timeout, `the timeout of step '${name}'`), fn))
    this.#throwIfStopped()
    this.pending.push(this.#checkpoint(place, result, started))
    this.#support.noteCheckpoint(this)
    return result
  }

  async #transaction<Result>(name: string, fn: (sql: TransactionClient) => Promise<Result>): Promise<Result> {
    const place = this.#place(name)
    if (this.#completed.has(place.name)) return this.#completed.get(place.name) as Result
    if (this.pending.length > 0) await this.#support.makeDurable(this)
    this.#throwIfStopped()
    const client = await this.#support.connect()
    let broken: Error | undefined
    try {
      const started = performance.now()
      await client.query('begin')
      try {
        const result = await fn({ query: client.query.bind(client) })
        if (client.getTransactionStatus() !== 'T') {
          throw new UsageError(`step '${name}' ended the transaction that it was given; leave commit and rollback to the worker`)
        }
        this.#throwIfStopped()
        await this.#support.checkpoint(client, this, this.#checkpoint(place, result, started))
        await client.query('commit')
        return result
      } catch (error) {
        await client.query('rollback').catch((lost: unknown) => {
          broken = lost instanceof Error ? lost : new Error(String(lost))
        })
        if (isSqlState(error, SQLSTATE.leaseLost)) this.stop(new LeaseLostError(this.claim.executionId))
        throw error
      }
    } finally {
      // A connection that could not roll back is thrown away.
      client.release(broken)
    }
  }

  /** Name (numbered when used before) and index of the next step. */
  #place(name: string): { name: string; index: number } {
    if (name.length < 1 || name.length > 200) {
      throw new UsageError(`a step name has 1 to 200 characters, not ${name.length}`)
    }
    if (this.#ended) throw new UsageError(`step '${name}' was started after the handler had returned; await every step`)
    const use = (this.#uses.get(name) ?? 0) + 1
    this.#uses.set(name, use)
    return { name: use === 1 ? name : `${name}#${use}`, index: this.#steps++ }
  }

  #checkpoint(place: { name: string; index: number }, result: unknown, started: number): Checkpoint {
    return { ...place, output: toJson(result, `the result of step '${place.name}'`), durationMs: Math.round(performance.now() - started) }
  }

  async #withTimeout<Result>(
    name: string,
    milliseconds: number,
    fn: (scope: StepScope) => Result | Promise<Result>,
  ): Promise<Result> {
    const timeout = new AbortController()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const error = new StepTimeoutError(name, milliseconds)
        timeout.abort(error)
        reject(error)
      }, milliseconds)
    })
    try {
      return await Promise.race([fn({ signal: AbortSignal.any([this.#signal(), timeout.signal]) }), late])
    } finally {
      clearTimeout(timer)
    }
  }

  #throwIfStopped(): void {
    if (this.#stopped !== undefined) throw this.#stopped
    if (this.#failure !== undefined) throw this.#failure
  }

  #outcomeOf(error: unknown): Outcome {
    // Once the run was stopped, whatever its handler makes of that says nothing about the execution.
    if (this.#stopped !== undefined) return { kind: this.#stopped instanceof ExecutorStoppedError ? 'stopped' : 'lost' }
    if (error instanceof z.ZodError) {
      return { kind: 'failed', error: describeIssues(error), category: 'VALIDATION', permanent: true }
    }
    const message = error instanceof Error ? error.message || error.name : String(error)
    return {
      kind: 'failed',
      error: storable(message),
      category: categoryOf(error),
      permanent: error instanceof PermanentError || error instanceof NotJsonError,
    }
  }
}

async function parse(schema: z.ZodType, input: unknown): Promise<unknown> {
  try {
    return schema.parse(input)
  } catch (error) {
    if (error instanceof z.core.$ZodAsyncError) return await schema.parseAsync(input)
    throw error
  }
}

/** All issues in one line, each with its path: `cents: Too small: expected number to be >0`. */
function describeIssues(error: z.ZodError): string {
  const issues = error.issues.map(({ path, message }) => (path.length === 0 ? message : `${z.core.toDotPath(path)}: ${message}`))
  return storable(issues.join('; '))
}

function storable(message: string): string {
  const text = message.replaceAll('\0', '').toWellFormed()
  return text.length <= LONGEST_ERROR ? text : `${text.slice(0, LONGEST_ERROR)}…`
}

function categoryOf(error: unknown): string {
  const category: unknown = typeof error === 'object' && error !== null && 'category' in error ? error.category : undefined
  return ERROR_CATEGORIES.find((known) => known === category) ?? 'RUNTIME'
}

function isSqlState(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code
}
