// One execution in this executor, from its claim to its outcome: its steps, the checkpoints that are not yet
// durable, when it ends, and how what the handler throws is understood.
import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import type { z } from 'zod'
import { Activity } from './activity.js'
import { Compensations } from './compensation.js'
import type { MapOptions, MapWork, StepOptions, StepScope, TransactionClient, TransactionResult, WaitOptions } from './context.js'
import { sqlState } from './database-errors.js'
import { deferredMs } from './defer.js'
import type { Duration } from './duration.js'
import { type ExecutionEndedError, ExecutorStoppedError, LeaseLostError, type PermanentError, UsageError } from './errors.js'
import { checkStepName, History, type Place } from './history.js'
import { toJson } from './json.js'
import type { Logger } from './logger.js'
import { type Checkpoint, type Claim, SQLSTATE, type Wait } from './protocol.js'
import { callInside, type Inside, stepAround } from './nesting.js'
import type { Outcome } from './outcome.js'
import { type ContextOperations, RunContext, RunScope } from './run-context.js'
import { runStep } from './step-attempts.js'
import { type Describe, failedBy, failedByInput } from './thrown.js'
import { inTransaction, isQueryResult } from './transaction.js'
import { Waiting } from './waiting.js'
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
  /** Records that a step was compensated. Returns false when the lease is lost. */
  recordCompensation(run: Run, step: string): Promise<boolean>
  /** Notes how far the run is. Returns at once. */
  noteProgress(run: Run, fraction: number, text: string | undefined): void
  /** A log whose lines say which run they are about. */
  log(run: Run): Logger
  /** The text of an error, as it may be kept. */
  readonly describe: Describe
}

export class Run implements ContextOperations {
  readonly claim: Claim
  /** Completed in this run, not yet reported. Whoever reports takes them. */
  pending: Checkpoint[] = []

  readonly #workflow: Workflow
  readonly #support: RunSupport
  readonly #history: History
  /** Of a run that only compensates. */
  readonly #compensations: Compensations | undefined
  #stopped: LeaseLostError | ExecutionEndedError | ExecutorStoppedError | undefined
  /** Made when somebody asks for the signal: most runs never do. */
  #abort: AbortController | undefined
  readonly #activity = new Activity()
  #suspend: ((outcome: Outcome) => void) | undefined
  #ended = false
  #failure: PermanentError | undefined
  #log: Logger | undefined

  constructor(claim: Claim, workflow: Workflow, support: RunSupport) {
    this.claim = claim
    this.#workflow = workflow
    this.#support = support
    this.#history = new History(workflow.name, claim.steps)
    if (claim.compensating !== undefined) this.#compensations = new Compensations(claim.steps)
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
    const outcome = await new Promise<Outcome>((resolve) => {
      this.#suspend = resolve
      if (this.#compensations?.isComplete === true) resolve({ kind: 'waiting', waits: [] })
      else void this.#handle().then(resolve)
    })
    // Also one that the handler did not wait for: its result is recorded, and it does not run beside the next attempt.
    while (!this.#activity.isIdle && this.#stopped === undefined) await this.#activity.idle()
    this.#ended = true
    // Once the run was stopped, whatever its handler made of that says nothing about the execution.
    if (this.#stopped !== undefined) return { kind: this.#stopped instanceof ExecutorStoppedError ? 'stopped' : 'lost' }
    const ended = this.#failure === undefined ? outcome : failedBy(this.#failure, this.#support.describe)
    if (this.#compensations === undefined || this.claim.compensating === undefined) return ended
    return await this.#compensations.settle(ended, this.claim, this.claim.compensating, {
      record: (step) => this.#support.recordCompensation(this, step),
      signal: () => this.signal(),
      describe: this.#support.describe,
    })
  }

  async #handle(): Promise<Outcome> {
    try {
      const input = await parseInput(this.#workflow, this.claim.input)
      if (!input.success) return failedByInput(input.error)
      const result = await this.#workflow.run(new RunContext(this.claim, this), input.data)
      return { kind: 'completed', output: toJson(result, `the output of workflow '${this.#workflow.name}'`) }
    } catch (error) {
      this.#ended = true
      const delayMs = deferredMs(error)
      return delayMs === undefined ? failedBy(error, this.#support.describe) : { kind: 'deferred', delayMs }
    }
  }

  signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#stopped !== undefined) this.#abort.abort(this.#stopped)
    }
    return this.#abort.signal
  }

  log(): Logger {
    return (this.#log ??= this.#support.log(this))
  }

  step<Result>(name: string, fn: (scope: StepScope) => Result | Promise<Result>, options?: StepOptions<Result>): Promise<Result> {
    if (this.#compensations !== undefined) return this.#metAgain(() => this.#named(name), this.#compensations, options)
    return this.#activity.follow(this.#step(() => this.#named(name), fn, options))
  }

  transaction<Result>(name: string, fn: (sql: TransactionClient) => Promise<Result>): Promise<TransactionResult<Result>> {
    if (this.#compensations !== undefined) return this.#metAgain(() => this.#named(name), this.#compensations)
    return this.#activity.follow(this.#transaction(name, fn))
  }

  sleep(duration: Duration): Promise<void> {
    return this.#waiting().sleep(duration)
  }

  sleepUntil(time: Date): Promise<void> {
    return this.#waiting().sleepUntil(time)
  }

  waitForEvent<Schema extends z.ZodType = z.ZodUnknown>(key: string, options?: WaitOptions<Schema>): Promise<z.output<Schema>> {
    return this.#waiting().waitForEvent(key, options)
  }

  invoke<Input, Output>(workflow: Workflow<Input, Output>, input: Input): Promise<Output> {
    return this.#waiting().invoke(workflow, input)
  }

  map<Item, Output>(items: readonly Item[], work: MapWork<Item, Output>, options?: MapOptions): Promise<Output[]> {
    return this.#waiting().map(items, work, options)
  }

  now(): Date {
    return new Date(this.#record('now', () => Date.now()))
  }

  random(): number {
    return this.#record('random', () => Math.random())
  }

  uuid(): string {
    return this.#record('uuid', () => randomUUID())
  }

  progress(fraction: number, text?: string): void {
    if (!(fraction >= 0 && fraction <= 1)) throw new UsageError(`the progress is ${fraction}, outside 0 to 1`)
    if (this.#stopped === undefined && !this.#ended) this.#support.noteProgress(this, fraction, text)
  }

  async #step<Result>(
    placed: () => Place,
    fn: (scope: StepScope) => Result | Promise<Result>,
    options: StepOptions<Result> | undefined,
  ): Promise<Result> {
    const place = placed()
    const recorded = this.#history.recorded(place)
    if (recorded !== undefined) {
      // Recorded by an executor of an older version, or before the step got its compensation.
      if (options?.compensate !== undefined && recorded.compensable !== true) this.#note(place, recorded.output, performance.now(), true)
      return recorded.output as Result
    }
    await this.#support.makeDurable(this)
    this.#throwIfStopped()
    const started = performance.now()
    const inside: Inside = { run: this, step: place.name }
    const work = (scope: StepScope) => callInside(inside, fn, scope)
    let result: Result
    try {
      result = await (options === undefined ? work(new RunScope(this)) : runStep(place.name, work, options, () => this.signal()))
    } finally {
      inside.run = undefined
    }
    this.#throwIfStopped()
    this.#note(place, result, started, options?.compensate !== undefined)
    return result
  }

  /** Of a run that only compensates: the result of a step that was recorded; at another one the handler stays. */
  async #metAgain<Result>(placed: () => Place, compensations: Compensations, options: StepOptions<Result> = {}): Promise<Result> {
    const place = placed()
    const recorded = this.#history.recorded(place)
    if (recorded === undefined) return await this.#waitAt([])
    const { compensate, compensateOptions = {} } = options
    const result = recorded.output as Result
    if (compensate !== undefined) compensations.add({ step: place.name, run: (scope) => compensate(result, scope), options: compensateOptions })
    if (compensations.isComplete) this.#suspend?.({ kind: 'waiting', waits: [] })
    return result
  }

  async #transaction<Result>(name: string, fn: (sql: TransactionClient) => Promise<Result>): Promise<TransactionResult<Result>> {
    const place = this.#named(name)
    const recorded = this.#history.recorded(place)
    if (recorded !== undefined) return recorded.output as TransactionResult<Result>
    await this.#support.makeDurable(this)
    this.#throwIfStopped()
    const client = await this.#support.connect()
    const started = performance.now()
    const inside: Inside = { run: this, step: place.name }
    try {
      return await inTransaction(client, {
        step: name,
        signal: this.signal(),
        work: async (sql) => {
          const result = await callInside(inside, fn, sql)
          return (isQueryResult(result) ? null : result) as TransactionResult<Result>
        },
        beforeCommit: async (result) => {
          this.#throwIfStopped()
          await this.#support.checkpoint(client, this, checkpoint(place, result, started))
        },
      })
    } catch (error) {
      if (sqlState(error) === SQLSTATE.leaseLost) this.stop(new LeaseLostError(this.claim.executionId))
      throw error
    } finally {
      inside.run = undefined
    }
  }

  /** Made for handlers that wait: most do not. */
  #waiting(): Waiting {
    return new Waiting({
      place: (name) => this.#place(name),
      places: (name, count) => {
        checkStepName(name)
        this.#throwUnlessOpen(name)
        return this.#history.places(name, count, this.#activity.isNone)
      },
      recorded: (place) => this.#history.recorded(place),
      wait: (waits) => this.#waitAt(waits),
      follow: (work) => this.#activity.follow(work),
      step: (place, fn) =>
        this.#compensations === undefined ? this.#activity.follow(this.#step(() => place, fn, undefined)) : this.#metAgain(() => place, this.#compensations),
    })
  }

  /** The handler stays here; the run ends when nothing else of it goes on. */
  #waitAt(waits: readonly Wait[]): Promise<never> {
    this.#throwIfStopped()
    return this.#activity.wait(waits, (all) => {
      if (this.#ended) return
      this.#ended = true
      this.#suspend?.({ kind: 'waiting', waits: all })
    })
  }

  /** A value that every run of the execution gets alike. */
  #record<Value>(name: string, make: () => Value): Value {
    const place = this.#place(name)
    const recorded = this.#history.recorded(place)
    if (recorded !== undefined) return recorded.output as Value
    this.#throwIfStopped()
    const value = make()
    if (this.#compensations === undefined) this.#note(place, value, performance.now(), false)
    return value
  }

  #note(place: Place, result: unknown, started: number, isCompensable: boolean): void {
    const noted = checkpoint(place, result, started)
    if (isCompensable) noted.isCompensable = true
    this.pending.push(noted)
    this.#support.noteCheckpoint(this)
  }

  /** Of a step that the handler names. */
  #named(name: string): Place {
    checkStepName(name)
    return this.#place(name)
  }

  #place(name: string): Place {
    this.#throwUnlessOpen(name)
    return this.#history.place(name, this.#activity.isNone)
  }

  /** Unless a step may start now. */
  #throwUnlessOpen(name: string): void {
    const around = stepAround(this)
    if (around !== undefined) throw new UsageError(`step '${name}' was started within step '${around}'; steps follow each other, or run side by side`)
    if (this.#ended) throw new UsageError(`step '${name}' was started after the handler had returned; await every step`)
  }

  #throwIfStopped(): void {
    if (this.#stopped !== undefined) throw this.#stopped
    if (this.#failure !== undefined) throw this.#failure
  }
}

function checkpoint(place: Place, result: unknown, started: number): Checkpoint {
  return { ...place, output: toJson(result, `the result of step '${place.name}'`), durationMs: Math.round(performance.now() - started) }
}
