// What a handler can ask for in a run: steps, transactions, waits, and values that every run gets alike. Each asks the replay for what was
// recorded; what is new is done, recorded, and given when it is its turn.
import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import type { z } from 'zod'
import type { Current } from './activity.js'
import type { InstantOptions, InvokeOptions, MapOptions, MapWork, SleepOptions, StepOptions, StepScope, TransactionClient, TransactionResult, WaitOptions } from './context.js'
import { sqlState } from './database-errors.js'
import type { Duration } from './duration.js'
import { ChangedWorkflowError, CommitUnknownError, LeaseLostError, UsageError } from './errors.js'
import { Given } from './given.js'
import { checkStepName } from './history.js'
import { keep, type Kept } from './json.js'
import type { Logger } from './logger.js'
import { callInside, type Inside, stepAround } from './nesting.js'
import { SQLSTATE } from './protocol.js'
import { type Asked, HALTED } from './replay.js'
import { type ContextOperations, RunScope } from './run-context.js'
import type { OpenRun } from './run-support.js'
import { INSTANTS, placeOf } from './sequence.js'
import { runStep } from './step-attempts.js'
import { checkpoint, metAgain, noteFailure, resultOf } from './step-records.js'
import { inTransaction, isQueryResult } from './transaction.js'
import { type Wanted, Waiting } from './waiting.js'
import type { Workflow } from './workflow.js'

const TRANSACTION = 'a transaction'

export class Operations implements ContextOperations {
  readonly #run: OpenRun
  /** Made for handlers that wait: most do not. */
  #waiting: Waiting | undefined

  constructor(run: OpenRun) {
    this.#run = run
  }

  signal(): AbortSignal {
    return this.#run.signal()
  }

  log(): Logger {
    return this.#run.log()
  }

  step<Result>(name: string, fn: (scope: StepScope) => Result | Promise<Result>, options?: StepOptions<Result>): Promise<Result> {
    return this.#given(name, () => this.#step(name, fn, options))
  }

  transaction<Result>(name: string, fn: (sql: TransactionClient) => Promise<Result>): Promise<TransactionResult<Result>> {
    return this.#given(name, async () => this.#transaction(this.#ask(name), fn))
  }

  sleep(duration: Duration, options?: SleepOptions): Promise<void> {
    return this.#given('sleep', async () => this.#waits().sleep(duration, options))
  }

  sleepUntil(time: Date, options?: SleepOptions): Promise<void> {
    return this.#given('sleep', async () => this.#waits().sleepUntil(time, options))
  }

  waitForEvent<Schema extends z.ZodType = z.ZodUnknown>(key: string, options?: WaitOptions<Schema>): Promise<z.output<Schema>> {
    return this.#given(`event ${key}`, async () => this.#waits().waitForEvent(key, options))
  }

  invoke<Input, Output>(workflow: Workflow<Input, Output>, input: Input, options?: InvokeOptions): Promise<Output> {
    return this.#given(workflow.name, async () => this.#waits().invoke(workflow, input, options))
  }

  map<Item, Output>(items: readonly Item[], work: MapWork<Item, Output>, options?: MapOptions): Promise<Output[]> {
    return this.#given(options?.name ?? 'map', async () => this.#waits().map(items, work, options))
  }

  now(options?: InstantOptions): Date {
    return new Date(this.#instant('now', options, () => Date.now()))
  }

  random(options?: InstantOptions): number {
    return this.#instant('random', options, () => Math.random())
  }

  uuid(options?: InstantOptions): string {
    return this.#instant('uuid', options, () => randomUUID())
  }

  progress(fraction: number, text?: string): void {
    if (!(fraction >= 0 && fraction <= 1)) throw new UsageError(`the progress is ${fraction}, outside 0 to 1`)
    if (!this.#run.isStopped && !this.#run.isEnded) this.#run.support.noteProgress(this.#run, fraction, text)
  }

  /** The promise that the handler gets. It never settles once the run is over without it. */
  #given<Result>(step: string, work: () => Promise<Result>): Promise<Result> {
    const given: Given<Result> = new Given<Result>((resolve, reject) => {
      work().then(resolve, (error: unknown) => {
        if (error === HALTED) return
        this.#run.failures.watch(step, given, error)
        given.quiet()
        reject(error)
      })
    })
    return given
  }

  /** The place of a step that the handler names. */
  #ask(name: string): Asked {
    checkStepName(name)
    this.#throwUnlessOpen(name)
    return this.#run.replay.ask(name)
  }

  /** Unless something may be asked for now. */
  #throwUnlessOpen(name: string): void {
    if (this.#run.isUndoing) throw new UsageError(`step '${name}' was started while the execution is undone; a compensation starts no step`)
    // The handler hears why it cannot succeed any more: it would stay here for ever, and its run with it.
    if (this.#run.failure !== undefined) throw this.#run.failure
    if (this.#run.replay.isOver && !this.#run.isHandlerDone) throw HALTED
    const around = stepAround(this.#run)
    if (around !== undefined) throw new UsageError(`step '${name}' was started within step '${around}'; steps follow each other, or run side by side`)
    if (this.#run.isEnded) throw new UsageError(`step '${name}' was started after the handler had returned; await every step`)
  }

  /** @param asked the name, or the place of an item of a map */
  async #step<Result>(asked: string | Asked, fn: (scope: StepScope) => Result | Promise<Result>, options: StepOptions<Result> | undefined): Promise<Result> {
    const place = typeof asked === 'string' ? this.#ask(asked) : asked
    const { replay, support } = this.#run
    const recorded = replay.recorded(place, undefined)
    if (recorded !== undefined) {
      await replay.turnOf(recorded)
      const result = resultOf(this.#run, place, recorded) as Result
      if (options !== undefined) metAgain(this.#run, place, recorded, result, options)
      return result
    }
    if (this.#run.compensations !== undefined) return await this.#stay()
    const live = replay.sequence.live()
    if (live !== undefined) await live
    replay.activity.begin()
    try {
      await support.makeDurable(this.#run)
      this.#run.throwIfStopped()
      const started = performance.now()
      let kept: Kept<Result> | undefined
      let thrown: unknown
      try {
        kept = keep(await this.#runFunction(place, started, fn, options), `the result of step '${place.name}'`)
      } catch (error) {
        thrown = error
      }
      this.#run.throwIfStopped()
      const order = await replay.fresh(place)
      this.#run.throwIfStopped()
      if (kept === undefined) throw noteFailure(this.#run, place, undefined, order, started, thrown)
      this.#run.note(checkpoint(place, undefined, order, started, kept.text, options?.compensate !== undefined))
      return kept.value
    } finally {
      replay.activity.end()
    }
  }

  async #runFunction<Result>(place: Asked, startedAt: number, fn: (scope: StepScope) => Result | Promise<Result>, options: StepOptions<Result> | undefined): Promise<Result> {
    const { activity } = this.#run.replay
    const inside: Inside & Current = { run: this.#run, step: place.name, startedAt }
    const work = (scope: StepScope) => callInside(inside, fn, scope)
    activity.enter(inside)
    try {
      return await (options === undefined ? work(new RunScope(this)) : runStep(place.name, work, options, () => this.signal()))
    } finally {
      activity.leave(inside)
      inside.run = undefined
    }
  }

  async #transaction<Result>(place: Asked, fn: (sql: TransactionClient) => Promise<Result>): Promise<TransactionResult<Result>> {
    const { replay, support } = this.#run
    const recorded = replay.recorded(place, TRANSACTION)
    if (recorded !== undefined) {
      await replay.turnOf(recorded)
      return resultOf(this.#run, place, recorded) as TransactionResult<Result>
    }
    if (this.#run.compensations !== undefined) return await this.#stay()
    await replay.sequence.live()
    return await replay.activity.follow(
      (async () => {
        await support.makeDurable(this.#run)
        this.#run.throwIfStopped()
        const started = performance.now()
        // Its place is recorded with it, so nothing else is given between the record and the commit.
        let taken: { order: number; done: () => void } | undefined
        try {
          const result = await this.#commit(place, fn, async (client, kept) => {
            // A transaction that is tried again has it already.
            taken ??= await replay.taken(place)
            await support.checkpoint(client, this.#run, checkpoint(place, TRANSACTION, taken.order, started, kept.text, false))
          })
          taken?.done()
          return result
        } catch (error) {
          if (sqlState(error) === SQLSTATE.leaseLost) this.#run.stop(new LeaseLostError(this.#run.claim.executionId))
          if (error instanceof CommitUnknownError) {
            this.#run.halt(error)
            throw HALTED
          }
          this.#run.throwIfStopped()
          const order = taken === undefined ? await replay.fresh(place) : taken.order
          const failure = noteFailure(this.#run, place, TRANSACTION, order, started, error)
          taken?.done()
          throw failure
        }
      })(),
    )
  }

  async #commit<Result>(
    place: Asked,
    fn: (sql: TransactionClient) => Promise<Result>,
    record: (client: pg.PoolClient, kept: Kept<TransactionResult<Result>>) => Promise<void>,
  ): Promise<TransactionResult<Result>> {
    const { replay, support } = this.#run
    const inside: Inside & Current = { run: this.#run, step: place.name, startedAt: performance.now() }
    replay.activity.enter(inside)
    try {
      const { value } = await inTransaction({
        step: place.name,
        signal: this.signal(),
        connect: () => support.connect(),
        fate: (transaction) => support.stepFate(this.#run, place.name, transaction),
        work: async (sql) => {
          const result = await callInside(inside, fn, sql)
          return keep((isQueryResult(result) ? null : result) as TransactionResult<Result>, `the result of step '${place.name}'`)
        },
        beforeCommit: async (client, kept) => {
          this.#run.throwIfStopped()
          await record(client, kept)
        },
      })
      return value
    } finally {
      replay.activity.leave(inside)
      inside.run = undefined
    }
  }

  /** A value that every run of the execution gets alike, at the moment of asking. */
  #instant<Value>(kind: keyof typeof INSTANTS, options: InstantOptions | undefined, make: () => Value): Value {
    const { replay } = this.#run
    try {
      const place = this.#ask(options?.name ?? kind)
      replay.given()
      const recorded = replay.recorded(place, INSTANTS[kind])
      const order = replay.sequence.instant(place.name, place.index, recorded === undefined ? undefined : placeOf(recorded))
      if (recorded !== undefined) return recorded.output as Value
      this.#run.throwIfStopped()
      const { value, text } = keep(make(), kind)
      if (this.#run.compensations === undefined) this.#run.note(checkpoint(place, INSTANTS[kind], order, performance.now(), text, false))
      return value
    } catch (error) {
      // There is no promise that could stay open.
      if (error === HALTED) throw new ChangedWorkflowError(this.#run.claim.workflowName, 'something else', INSTANTS[kind])
      throw error
    }
  }

  #waits(): Waiting {
    const { replay } = this.#run
    return (this.#waiting ??= new Waiting({
      ask: (name) => this.#ask(name),
      askAll: (name, count) => {
        checkStepName(name)
        this.#throwUnlessOpen(name)
        return replay.askAll(name, count)
      },
      recorded: (place, asked) => replay.recorded(place, asked),
      turnOf: (recorded) => replay.turnOf(recorded),
      follow: (work) => replay.activity.follow(work),
      wait: (wanted) => this.#wait(wanted),
      item: (place, fn) => {
        replay.askItem()
        return this.#step(place, fn, undefined)
      },
    }))
  }

  /** Of a run that only compensates, at what was not recorded: nothing new is begun. The run ends when nothing else of it goes on. */
  #stay(): Promise<never> {
    return this.#run.replay.wait([])
  }

  /** The handler stays here; the run ends when nothing else of it goes on. */
  async #wait(wanted: readonly Wanted[]): Promise<never> {
    const { replay } = this.#run
    if (this.#run.compensations !== undefined) return await this.#stay()
    this.#run.throwIfStopped()
    return await replay.wait(wanted.map(({ place: { name, index, askedOrder }, asked, wait }) =>
      ({ name, index, asked, ...wait, ...(askedOrder === undefined ? {} : { askedOrder }) })))
  }
}
