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
import { type ExecutionEndedError, ExecutorStoppedError, LeaseLostError, PermanentError, UsageError } from './errors.js'
import { checkStepName, History, type Place } from './history.js'
import { toJson } from './json.js'
import type { Logger } from './logger.js'
import { type Checkpoint, type Claim, SQLSTATE, type Wait } from './protocol.js'
import { callInside, type Inside, stepAround } from './nesting.js'
import type { Outcome } from './outcome.js'
import { type ContextOperations, RunContext, RunScope } from './run-context.js'
import { runStep } from './step-attempts.js'
import { type Describe, type Failed, failedBy, failedByInput, stepOf } from './thrown.js'
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
  /** Says that compensations begin. Returns false when the lease is lost. */
  beginCompensation(run: Run, failed: Failed): Promise<boolean>
  /** Records that a step was compensated. Returns false when the lease is lost. */
  recordCompensation(run: Run, step: string): Promise<boolean>
  /** Notes how far the run is. Returns at once. */
  noteProgress(run: Run, fraction: number, text: string | undefined): void
  /** A log whose lines say which run they are about. */
  log(run: Run): Logger
  /** The text of an error, as it may be kept. */
  readonly describe: Describe
}

/** A step whose function runs. */
export interface UnderWay {
  step: string
  /** By performance.now(). */
  startedAt: number
}

export class Run implements ContextOperations {
  readonly claim: Claim
  /** Completed in this run, not yet reported. Whoever reports takes them. */
  pending: Checkpoint[] = []

  readonly #workflow: Workflow
  readonly #support: RunSupport
  readonly #history: History
  /** Made for the first step that has one, or was compensated: most runs have none. */
  #compensations: Compensations | undefined
  #stopped: LeaseLostError | ExecutionEndedError | ExecutorStoppedError | undefined
  /** Made when somebody asks for the signal: most runs never do. */
  #abort: AbortController | undefined
  readonly #activity = new Activity()
  #suspend: ((outcome: Outcome) => void) | undefined
  #ended = false
  /** The handler has returned or thrown: nobody awaits its steps any more. */
  #isReturned = false
  #failure: PermanentError | undefined
  /** The steps whose functions run, the oldest first. */
  readonly #underWay: UnderWay[] = []
  /** Which step an error came from. */
  #thrownIn: WeakMap<object, string> | undefined
  #log: Logger | undefined

  constructor(claim: Claim, workflow: Workflow, support: RunSupport) {
    this.claim = claim
    this.#workflow = workflow
    this.#support = support
    this.#history = new History(workflow.name, claim.steps, claim.compensating === undefined ? undefined : new PermanentError(claim.compensating.error))
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

  /** The step that has been under way for longest, if any. */
  current(): UnderWay | undefined {
    return this.#underWay[0]
  }

  /** Parses the input, runs the handler and waits for every step that it started. Never rejects. */
  async execute(): Promise<Outcome> {
    const outcome = await new Promise<Outcome>((resolve) => {
      this.#suspend = resolve
      void this.#handle().then(resolve)
    })
    // Also one that the handler did not wait for: its result is recorded, and it does not run beside the next attempt.
    while (!this.#activity.isIdle && this.#stopped === undefined) await this.#activity.idle()
    this.#ended = true
    // Once the run was stopped, whatever its handler made of that says nothing about the execution.
    if (this.#stopped !== undefined) return { kind: this.#stopped instanceof ExecutorStoppedError ? 'stopped' : 'lost' }
    const ended = this.#failure === undefined ? outcome : failedBy(this.#failure, this.#support.describe)
    if (this.claim.compensating === undefined && (ended.kind !== 'failed' || this.#compensations === undefined)) return ended
    return await (this.#compensations ?? new Compensations()).settle(ended, this.claim, this.#workflow.policy.max_attempts, {
      makeDurable: () => this.#support.makeDurable(this),
      begin: (failed) => this.#support.beginCompensation(this, failed),
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
      return delayMs === undefined ? failedBy(error, this.#support.describe, this.#thrownIn && stepOf(error, this.#thrownIn)) : { kind: 'deferred', delayMs }
    } finally {
      this.#isReturned = true
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
    return this.#activity.follow(this.#step(() => this.#named(name), fn, options))
  }

  transaction<Result>(name: string, fn: (sql: TransactionClient) => Promise<Result>): Promise<TransactionResult<Result>> {
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
      this.#noteCompensation(place.name, recorded.output as Result, options, recorded.compensated === true)
      return recorded.output as Result
    }
    await this.#support.makeDurable(this)
    this.#throwIfStopped()
    const started = performance.now()
    const inside: Inside = { run: this, step: place.name }
    const work = (scope: StepScope) => callInside(inside, fn, scope)
    const underWay = this.#begin(place.name, started)
    let result: Result
    try {
      result = await (options === undefined ? work(new RunScope(this)) : runStep(place.name, work, options, () => this.signal()))
    } catch (error) {
      this.#noteFailure(error, place.name)
      throw error
    } finally {
      this.#underWay.splice(this.#underWay.indexOf(underWay), 1)
      inside.run = undefined
    }
    this.#throwIfStopped()
    this.#note(place, result, started)
    this.#noteCompensation(place.name, result, options, false)
    return result
  }

  #noteCompensation<Result>(step: string, result: Result, options: StepOptions<Result> | undefined, isDone: boolean): void {
    const compensate = options?.compensate
    if (isDone) (this.#compensations ??= new Compensations()).noteDone(step)
    else if (compensate !== undefined) (this.#compensations ??= new Compensations()).add({ step, run: (scope) => compensate(result, scope), options: options?.compensateOptions ?? {} })
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
    const underWay = this.#begin(place.name, started)
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
      this.#noteFailure(error, place.name)
      throw error
    } finally {
      this.#underWay.splice(this.#underWay.indexOf(underWay), 1)
      inside.run = undefined
    }
  }

  #begin(step: string, startedAt: number): UnderWay {
    const underWay = { step, startedAt }
    this.#underWay.push(underWay)
    return underWay
  }

  /** Remembers where an error came from, and tells of one that nobody can hear any more. */
  #noteFailure(error: unknown, step: string): void {
    if (typeof error === 'object' && error !== null) (this.#thrownIn ??= new WeakMap()).set(error, step)
    if (this.#isReturned && this.#stopped === undefined) {
      const { error: message, stack } = failedBy(error, this.#support.describe)
      this.log().warn({ organizationId: this.claim.organizationId, step, err: { message, stack } }, 'a step that its handler does not wait for has failed')
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
      step: (place, fn) => this.#activity.follow(this.#step(() => place, fn, undefined)),
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
    this.#note(place, value, performance.now())
    return value
  }

  #note(place: Place, result: unknown, started: number): void {
    this.pending.push(checkpoint(place, result, started))
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
