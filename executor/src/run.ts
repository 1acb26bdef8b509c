// One execution in this executor, from its claim to its outcome: what the handler is given, when the run ends, and how what the handler
// throws is understood. What the handler can ask for is in operations.ts.
import { Compensations } from './compensation.js'
import { deferredMs } from './defer.js'
import { ChangedWorkflowError, CommitUnknownError, type ExecutionEndedError, ExecutorStoppedError, type LeaseLostError, type PermanentError } from './errors.js'
import { Failures } from './failures.js'
import { toJson } from './json.js'
import type { Logger } from './logger.js'
import { Operations } from './operations.js'
import type { Outcome } from './outcome.js'
import type { Checkpoint, Claim, Recorded, Wait } from './protocol.js'
import { HALTED, Replay, type ReplayEnd, type ReplayListener } from './replay.js'
import { RunContext } from './run-context.js'
import type { OpenRun, RunSupport } from './run-support.js'
import { failedBy, failedByInput, storable } from './thrown.js'
import { tooMuch } from './results-limit.js'
import { parseInput, type Workflow } from './workflow.js'

/** Names that are refused may be longer. */
const LONGEST_STEP = 200

export class Run implements ReplayListener, OpenRun {
  readonly claim: Claim
  /** Completed or failed in this run, not yet reported. Whoever reports takes them. */
  pending: Checkpoint[] = []
  readonly support: RunSupport<Run>
  replay: Replay
  /** Of a run that only compensates. */
  compensations: Compensations | undefined

  readonly #workflow: Workflow
  #stopped: LeaseLostError | ExecutionEndedError | ExecutorStoppedError | undefined
  /** Made when somebody asks for the signal: most runs never do. */
  #abort: AbortController | undefined
  #finish: ((outcome: Outcome) => void) | undefined
  #isEnded = false
  #isHandlerDone = false
  #isUndoing = false
  #failure: PermanentError | undefined
  #log: Logger | undefined
  #failures: Failures | undefined
  /** Characters of all that was recorded. */
  #characters = 0

  constructor(claim: Claim, workflow: Workflow, support: RunSupport<Run>) {
    this.claim = claim
    this.#workflow = workflow
    this.support = support
    if (claim.compensating !== undefined) this.compensations = new Compensations(claim.steps)
    this.replay = new Replay(claim.steps, this)
  }

  /**
   * Before it begins: what was recorded was read.
   * @param steps in the order of their indexes
   * @param input JSON text, of one that the claim did not hand over
   * @param characters of the steps, as JSON text
   */
  resume(steps: Recorded[], input: string | undefined, characters: number): void {
    this.claim.steps = steps
    if (input !== undefined) this.claim.input = JSON.parse(input)
    this.#characters = characters
    if (this.claim.compensating !== undefined) this.compensations = new Compensations(steps)
    this.replay = new Replay(steps, this)
  }

  /** Steps that have failed; most runs have none. */
  get failures(): Failures {
    return (this.#failures ??= new Failures())
  }

  /** The handler has ended, or the run has: nothing new may be asked for. */
  get isEnded(): boolean {
    return this.#isEnded
  }

  /** The handler has returned or thrown. */
  get isHandlerDone(): boolean {
    return this.#isHandlerDone
  }

  /** Its compensations run. */
  get isUndoing(): boolean {
    return this.#isUndoing
  }

  /** Stops the run: its signal fires, and no step of it starts or is recorded any more. */
  stop(reason: LeaseLostError | ExecutionEndedError | ExecutorStoppedError): void {
    this.#stopped ??= reason
    this.replay.close(reason)
    this.#abort?.abort(reason)
  }

  /** The run ends here and now. Its handler does not hear of it: it stays where it is, for it could only do the wrong thing. */
  halt(reason: CommitUnknownError): void {
    this.#stopped ??= reason
    this.replay.close(HALTED)
    this.#abort?.abort(reason)
    this.#finish?.({ kind: 'stopped' })
  }

  /** The run cannot succeed any more: no step of it starts, and its outcome is this error. */
  fail(error: PermanentError): void {
    this.#failure ??= error
    this.replay.close(error)
  }

  /** Parses the input, runs the handler and waits for every step that it started. Never rejects. */
  async execute(): Promise<Outcome> {
    const outcome = await new Promise<Outcome>((resolve) => {
      this.#finish = resolve
      if (this.compensations?.isComplete === true) this.compensate()
      else void this.#handle()
    })
    const { activity } = this.replay
    // Also one that the handler did not wait for: its result is recorded, and it does not run beside the next attempt.
    while (!activity.isIdle && this.#stopped === undefined) await activity.idle()
    this.#isEnded = true
    this.replay.finish()
    // Once the run was stopped, whatever its handler made of that says nothing about the execution.
    if (this.#stopped !== undefined) return { kind: this.#stopped instanceof ExecutorStoppedError ? 'stopped' : 'lost' }
    this.#failures?.tellUnwatched(this.log())
    const ended = this.#failure === undefined ? outcome : failedBy(this.#failure, this.support.describe)
    if (this.compensations === undefined || this.claim.compensating === undefined) return ended
    this.#isUndoing = true
    return await this.compensations.settle(ended, this.claim, this.claim.compensating, {
      record: (step) => this.support.recordCompensation(this, step),
      signal: () => this.signal(),
      describe: this.support.describe,
    })
  }

  async #handle(): Promise<void> {
    try {
      const input = await parseInput(this.#workflow, this.claim.input)
      if (!input.success) {
        this.#finish?.(failedByInput(input.error, this.support.redact))
        return
      }
      const handled = this.#workflow.run(new RunContext(this.claim, new Operations(this)), input.data)
      this.replay.begin()
      const result = await handled
      this.#isHandlerDone = true
      const outcome: Outcome = { kind: 'completed', output: toJson(result, `the output of workflow '${this.#workflow.name}'`) }
      if (!this.replay.isComplete) await this.#rest()
      this.#finish?.(outcome)
    } catch (error) {
      this.#isHandlerDone = true
      this.#isEnded = true
      if (this.compensations === undefined) this.#finish?.(this.#thrown(error))
      else await this.#thrownAgain(error)
    }
  }

  /** Of a run that only compensates: steps that the handler had left running, and that were completed, are still to be met. */
  async #thrownAgain(error: unknown): Promise<void> {
    if (!this.isStopped) await this.#rest()
    this.#finish?.(failedBy(error, this.support.describe))
  }

  /** Of a run that only compensates: nothing more is to be met, so what else the handler would do does not matter. */
  compensate(): void {
    this.#finish?.({ kind: 'waiting', waits: [] })
  }

  /** The handler has ended before all that was recorded was seen: what it has left running is followed to its end. */
  async #rest(): Promise<void> {
    this.replay.handlerDone()
    await this.replay.completed()
  }

  #thrown(error: unknown): Outcome {
    const delayMs = deferredMs(error)
    const outcome: Outcome = delayMs === undefined ? failedBy(error, this.support.describe) : { kind: 'deferred', delayMs }
    // They run again. What a handler throws because its run is stopped is no failure of a step: nothing is forgotten then.
    const behind = (this.#stopped === undefined ? this.#failures?.behind(error, this.replay.asks) : undefined) ?? []
    for (const { checkpoint } of behind) {
      const at = this.pending.indexOf(checkpoint)
      if (at >= 0) this.pending.splice(at, 1)
      if (at < 0 || delayMs === undefined) this.pending.push({ ...checkpoint, error: JSON.stringify({ ...JSON.parse(checkpoint.error ?? '{}') as object, again: true }) })
    }
    if (outcome.kind !== 'failed') return outcome
    const step = behind[0]?.checkpoint.name ?? this.#failures?.stepOf(error)
    return step === undefined ? outcome : { ...outcome, step: storable(step, LONGEST_STEP) }
  }

  onReplayEnd(end: ReplayEnd): void {
    this.#isEnded = true
    if (end.kind === 'waiting') this.#finish?.(end)
    else {
      const { recorded, asked } = end
      const error = new ChangedWorkflowError(this.#workflow.name, recorded, asked)
      this.#abort?.abort(error)
      this.#finish?.({ kind: 'changed', recorded, asked, reason: error.message })
    }
  }

  onWaitsBegin(waits: Wait[]): void {
    this.support.beginWaits(this, waits)
  }

  signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#stopped !== undefined) this.#abort.abort(this.#stopped)
    }
    return this.#abort.signal
  }

  log(): Logger {
    return (this.#log ??= this.support.log(this))
  }

  throwIfStopped(): void {
    if (this.#stopped !== undefined) throw this.#stopped instanceof CommitUnknownError ? HALTED : this.#stopped
    if (this.#failure !== undefined) throw this.#failure
  }

  get failure(): PermanentError | undefined {
    return this.#failure
  }

  get isStopped(): boolean {
    return this.#stopped !== undefined
  }

  note(checkpoint: Checkpoint): void {
    this.pending.push(checkpoint)
    this.#characters += (checkpoint.output?.length ?? 0) + (checkpoint.error?.length ?? 0)
    if (this.#characters > this.support.resultsLimit) this.fail(tooMuch(this.claim.executionId, this.#characters, this.support.resultsLimit))
    this.support.noteCheckpoint(this)
  }
}
