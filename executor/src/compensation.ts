// Undoing what an execution has done: the compensations of its completed steps, the last one first, once it has failed or was
// cancelled for good. Each is recorded when it has run, so after a crash the next run goes on where this one ended.
import type { CompensateOptions, StepScope } from './context.js'
import { ERROR_CATEGORIES, ExecutorStoppedError, LeaseLostError } from './errors.js'
import type { Claim, Compensating } from './protocol.js'
import type { Outcome } from './outcome.js'
import { runStep } from './step-attempts.js'
import type { Failed } from './thrown.js'

export interface Compensation {
  step: string
  run: (scope: StepScope) => unknown
  options: CompensateOptions
}

/** What it needs of the run. */
export interface CompensationSupport {
  /** Resolves when what was completed is durable; rejects when the lease is lost. */
  makeDurable(): Promise<void>
  /** Says that compensations begin; from then on runs of the execution only compensate. False when the lease is lost. */
  begin(failed: Failed): Promise<boolean>
  /** Records that a step was compensated. False when the lease is lost. */
  record(step: string): Promise<boolean>
  /** Fires when the run must stop. */
  signal(): AbortSignal
  describe(thrown: unknown): string
}

export class Compensations {
  /** In the order in which their steps were completed. */
  readonly #due: Compensation[] = []
  /** Steps that were compensated, in this run or before. */
  readonly #done: string[] = []

  add(compensation: Compensation): void {
    this.#due.push(compensation)
  }

  /** Of an earlier run; called in the order of the steps, while the last one was compensated first. */
  noteDone(step: string): void {
    this.#done.unshift(step)
  }

  /** Compensates when an outcome is a failure for good, or that was said before. Returns what the outcome becomes by that. */
  async settle(outcome: Outcome, claim: Claim, maxAttempts: number, support: CompensationSupport): Promise<Outcome> {
    const failed = claim.compensating === undefined ? outcome : failedBefore(claim.compensating)
    if (failed.kind !== 'failed' || outcome.kind === 'lost' || outcome.kind === 'stopped') return outcome
    if (claim.compensating === undefined) {
      if (this.#due.length === 0 || (!failed.permanent && claim.attempt < maxAttempts)) return outcome
    }
    try {
      await support.makeDurable()
      return await this.#run(failed, claim.executionId, support)
    } catch (error) {
      // What was begun goes on in the next run.
      return { kind: error instanceof ExecutorStoppedError ? 'stopped' : 'lost' }
    }
  }

  async #run(failed: Failed, executionId: string, support: CompensationSupport): Promise<Failed> {
    const hold = (isHeld: boolean) => {
      support.signal().throwIfAborted()
      if (!isHeld) throw new LeaseLostError(executionId)
    }
    if (this.#due.length > 0) hold(await support.begin(failed))
    for (let next = this.#due.at(-1); next !== undefined; next = this.#due.at(-1)) {
      try {
        await runStep(`compensation of ${next.step}`, next.run, { retry: {}, ...next.options }, () => support.signal())
      } catch (error) {
        support.signal().throwIfAborted()
        return this.#told(failed, `; the compensation of '${next.step}' failed: ${support.describe(error)}`)
      }
      hold(await support.record(next.step))
      this.#due.pop()
      this.#done.push(next.step)
    }
    return this.#told(failed, '')
  }

  #told(failed: Failed, trouble: string): Failed {
    const done = this.#done.length === 0 ? '' : `; compensated: ${this.#done.join(', ')}`
    const left = this.#due.length === 0 ? '' : `; not compensated: ${this.#due.map(({ step }) => step).toReversed().join(', ')}`
    return { ...failed, error: `${failed.error}${trouble}${done}${left}`, permanent: true }
  }
}

/** Why an execution is compensated, as it was said when that began. */
function failedBefore({ error, category }: Compensating): Failed {
  return { kind: 'failed', error, category: ERROR_CATEGORIES.find((known) => known === category) ?? 'RUNTIME', permanent: true }
}
