// One execution in this executor, from its claim to its outcome: the context that its handler sees, the checkpoints that
// are not yet durable, and how what the handler throws is understood.
import type pg from 'pg'
import type { Context, StepOptions, StepScope, TransactionClient, TransactionResult } from './context.js'
import { sqlState } from './database-errors.js'
import { LONGEST_TIMER_MS, toMilliseconds } from './duration.js'
import { type ExecutionEndedError, ExecutorStoppedError, LeaseLostError, type PermanentError, StepTimeoutError, UsageError } from './errors.js'
import { toJson } from './json.js'
import { type Checkpoint, type Claim, SQLSTATE } from './protocol.js'
import { type Failed, failedBy, failedByInput } from './thrown.js'
import { inTransaction, isQueryResult } from './transaction.js'
import { parseInput, type Workflow } from './workflow.js'

/** What a run needs of the executor around it. */
export interface RunSupport {
  /** Resolves when every checkpoint of the run is durable, also one that is on its way; rejects when the lease is lost. */
  makeDurable(run: Run): Promise<void>
  /** Says that the run has a new checkpoint, which need not be hurried. */
  noteCheckpoint(run: Run): void
  /** A connection for a transaction step, which releases it. */
  connect(): Promise<pg.PoolClient>
  /** Records a step inside the transaction of this client. */
  checkpoint(client: pg.PoolClient, run: Run, step: Checkpoint): Promise<void>
}

export type Outcome =
  | { kind: 'completed'; output: string }
  | Failed
  /** Nothing may be written any more. */
  | { kind: 'lost' }
  /** To be handed back. */
  | { kind: 'stopped' }

export class Run {
  readonly claim: Claim
  /** Completed in this run, not yet reported. Whoever reports takes them. */
  pending: Checkpoint[] = []

  readonly #workflow: Workflow
  readonly #support: RunSupport
  #stopped: LeaseLostError | ExecutionEndedError | ExecutorStoppedError | undefined
  /** Made when somebody asks for the signal: most runs never do. */
  #abort: AbortController | undefined
  readonly #scope: StepScope
  /** Results of earlier attempts; undefined when there are none. */
  readonly #completed: Map<string, unknown> | undefined
  readonly #names = new Set<string>()
  /** Steps that run, each until it is settled, and who waits for there to be none. */
  #open = 0
  #whenIdle: (() => void) | undefined
  #ended = false
  #failure: PermanentError | undefined

  constructor(claim: Claim, workflow: Workflow, support: RunSupport) {
    this.claim = claim
    this.#workflow = workflow
    this.#support = support
    if (claim.steps.length > 0) this.#completed = new Map(claim.steps.map(({ name, output }) => [name, output]))
    this.#scope = new Scope(() => this.#signal())
  }

  /** Stops the run: its signal fires, and no step of it starts or is recorded any more. */
  stop(reason: LeaseLostError | ExecutionEndedError | ExecutorStoppedError): void {
    this.#stopped ??= reason
    this.#abort?.abort(reason)
  }

  /** The run cannot succeed any more: no step of it starts, and its outcome is this error. */
  fail(error: PermanentError): void {
    this.#failure ??= error
  }

  /** Parses the input, runs the handler and waits for every step that it started. Never rejects. */
  async execute(): Promise<Outcome> {
    const outcome = await this.#handle()
    // Also one that the handler did not wait for: its result is recorded, and it does not run beside the next attempt.
    while (this.#open > 0 && this.#stopped === undefined) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve
      })
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#ended = true
    // Once the run was stopped, whatever its handler made of that says nothing about the execution.
    if (this.#stopped !== undefined) return { kind: this.#stopped instanceof ExecutorStoppedError ? 'stopped' : 'lost' }
    return this.#failure === undefined ? outcome : failedBy(this.#failure)
  }

  async #handle(): Promise<Outcome> {
    try {
      const input = await parseInput(this.#workflow, this.claim.input)
      if (!input.success) return failedByInput(input.error)
      const result = await this.#workflow.run(this.#context(), input.data)
      return { kind: 'completed', output: toJson(result, `the output of workflow '${this.#workflow.name}'`) }
    } catch (error) {
      this.#ended = true
      return failedBy(error)
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
    return new RunContext(
      this.claim,
      this.#scope,
      (name, fn, options) => this.#follow(this.#step(name, fn, options)),
      (name, fn) => this.#follow(this.#transaction(name, fn)),
    )
  }

  /** Remembers a step until it is settled. One that the handler forgets does not end the process when it fails. */
  #follow<Result>(step: Promise<Result>): Promise<Result> {
    this.#open++
    const settled = () => {
      if (--this.#open === 0) this.#whenIdle?.()
    }
    step.then(settled, settled)
    return step
  }

  async #step<Result>(
    name: string,
    fn: (scope: StepScope) => Result | Promise<Result>,
    options: StepOptions = {},
  ): Promise<Result> {
    const place = this.#place(name)
    if (this.#completed?.has(place.name) === true) return this.#completed.get(place.name) as Result
    await this.#support.makeDurable(this)
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

  async #transaction<Result>(name: string, fn: (sql: TransactionClient) => Promise<Result>): Promise<TransactionResult<Result>> {
    const place = this.#place(name)
    if (this.#completed?.has(place.name) === true) return this.#completed.get(place.name) as TransactionResult<Result>
    await this.#support.makeDurable(this)
    this.#throwIfStopped()
    const client = await this.#support.connect()
    const started = performance.now()
    try {
      return await inTransaction(client, {
        step: name,
        signal: this.#signal(),
        work: async (sql) => {
          const result = await fn(sql)
          return (isQueryResult(result) ? null : result) as TransactionResult<Result>
        },
        beforeCommit: async (result) => {
          this.#throwIfStopped()
          await this.#support.checkpoint(client, this, this.#checkpoint(place, result, started))
        },
      })
    } catch (error) {
      if (sqlState(error) === SQLSTATE.leaseLost) this.stop(new LeaseLostError(this.claim.executionId))
      throw error
    }
  }

  /** Name (numbered when used before) and index of the next step. */
  #place(name: string): { name: string; index: number } {
    if (name.length < 1 || name.length > 200) {
      throw new UsageError(`a step name has 1 to 200 characters, not ${name.length}`)
    }
    if (name.includes('\0') || !name.isWellFormed()) {
      throw new UsageError(`a step name cannot have the character U+0000 or half of a surrogate pair, as ${JSON.stringify(name)} has`)
    }
    if (this.#ended) throw new UsageError(`step '${name}' was started after the handler had returned; await every step`)
    let numbered = name
    for (let use = 2; this.#names.has(numbered); use++) numbered = `${name}#${use}`
    const index = this.#names.size
    this.#names.add(numbered)
    return { name: numbered, index }
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
      }, Math.min(milliseconds, LONGEST_TIMER_MS))
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
}

// Classes, because an object literal with a getter is several times as expensive to make, and every run makes two.
class Scope implements StepScope {
  readonly #get: () => AbortSignal

  constructor(get: () => AbortSignal) {
    this.#get = get
  }

  get signal(): AbortSignal {
    return this.#get()
  }
}

class RunContext implements Context {
  readonly executionId: string
  readonly organizationId: string
  readonly attempt: number
  // Fields, so that a handler may take them out of the context.
  readonly step: Context['step']
  readonly transaction: Context['transaction']
  readonly #scope: StepScope

  constructor(claim: Claim, scope: StepScope, step: Context['step'], transaction: Context['transaction']) {
    this.executionId = claim.executionId
    this.organizationId = claim.organizationId
    this.attempt = claim.attempt
    this.#scope = scope
    this.step = step
    this.transaction = transaction
  }

  get signal(): AbortSignal {
    return this.#scope.signal
  }
}
