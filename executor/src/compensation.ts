// Undoing what an execution has done, once the database has decided that it has failed or is cancelled for good: the run meets the
// recorded steps again to find their compensations, and runs those, the last step first. Each is recorded when it has run, so after a
// crash the next run, on any executor, goes on where this one ended.
import type { CompensateOptions, StepScope } from './context.js'
import { ERROR_CATEGORIES, ExecutorStoppedError, LeaseLostError } from './errors.js'
import type { Claim, Compensating, Recorded } from './protocol.js'
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
  /** Records that a step was compensated. False when the lease is lost. */
  record(step: string): Promise<boolean>
  /** Fires when the run must stop. */
  signal(): AbortSignal
  describe(thrown: unknown): string
}

export class Compensations {
  readonly #found = new Map<string, Compensation>()
  /** Steps of which it was recorded that they can be undone, and that have not been met yet. */
  readonly #missing: Set<string>
  readonly #isKnown: boolean

  /** @param steps what earlier runs have recorded */
  constructor(steps: readonly Recorded[]) {
    this.#missing = new Set(steps.flatMap(({ name, compensable, compensated }) => (compensable === true && compensated !== true ? name : [])))
    // Executors of older versions have not recorded which can be undone: only the end of the handler shows that there are no more.
    this.#isKnown = steps.some(({ compensable }) => compensable)
  }

  /** All that can be undone has been met: what else the handler would do does not matter. */
  get isComplete(): boolean {
    return this.#isKnown && this.#missing.size === 0
  }

  /** The run has met a completed step again, which says how it is undone. */
  add(compensation: Compensation): void {
    this.#found.set(compensation.step, compensation)
    this.#missing.delete(compensation.step)
  }

  /**
   * Compensates what the run has met, whatever became of its handler.
   * @param outcome how the run has ended
   * @param compensating what the database has decided
   * @returns what was decided, which ends the execution; or why not all could be compensated
   */
  async settle(outcome: Outcome, claim: Claim, compensating: Compensating, support: CompensationSupport): Promise<Outcome> {
    if (outcome.kind === 'lost' || outcome.kind === 'stopped' || outcome.kind === 'changed') return outcome
    try {
      return await this.#run(claim, compensating, support)
    } catch (error) {
      // What was begun goes on in the next run.
      return { kind: error instanceof ExecutorStoppedError ? 'stopped' : 'lost' }
    }
  }

  async #run({ executionId, steps }: Claim, compensating: Compensating, support: CompensationSupport): Promise<Failed> {
    const decided = { kind: 'failed', error: compensating.error, category: categoryOf(compensating), permanent: true } as const
    for (const { name, compensable } of lastFirst(steps)) {
      const compensation = this.#found.get(name)
      if (compensation === undefined) {
        if (compensable !== true) continue
        // Other executors may have other code. What was done before this step is not undone before it is.
        return { ...decided, error: `the compensation of '${name}' was not found: the code has none, or does not come to this step any more`, permanent: false }
      }
      try {
        await runStep(`compensation of ${name}`, compensation.run, { retry: {}, ...compensation.options }, () => support.signal())
      } catch (error) {
        support.signal().throwIfAborted()
        return { ...decided, error: `${decided.error}; the compensation of '${name}' failed: ${support.describe(error)}` }
      }
      const isHeld = await support.record(name)
      support.signal().throwIfAborted()
      if (!isHeld) throw new LeaseLostError(executionId)
    }
    return decided
  }
}

/** Steps that were not compensated yet, those first whose results the handler saw last. */
function lastFirst(steps: readonly Recorded[]): Recorded[] {
  return steps.filter(({ compensated }) => compensated !== true).sort((a, b) => placeOf(b) - placeOf(a) || b.index - a.index)
}

function placeOf({ order, index }: Recorded): number {
  return order === undefined || order === -1 ? index : order
}

function categoryOf({ category }: Compensating): Failed['category'] {
  return ERROR_CATEGORIES.find((known) => known === category) ?? 'RUNTIME'
}
