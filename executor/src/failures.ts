// Steps that have failed in a run, as the handler has seen it: which of them an attempt has failed by, and those that nobody looked at.
import type { Given } from './given.js'
import type { Logger } from './logger.js'
import type { Checkpoint } from './protocol.js'

export interface StepFailure {
  /** As it was given to the handler. */
  error: unknown
  /** As it is recorded. */
  checkpoint: Checkpoint
  /** How many operations had been asked for when the handler saw it. */
  asks: number
}

const DEEPEST = 10

export class Failures {
  #all: StepFailure[] | undefined
  #given: { step: string; given: Given<unknown>; error: unknown }[] | undefined

  add(failure: StepFailure): void {
    (this.#all ??= []).push(failure)
  }

  /** @param given the promise that the handler has got */
  watch(step: string, given: Given<unknown>, error: unknown): void {
    (this.#given ??= []).push({ step, given, error })
  }

  /**
   * The failures by which an attempt has failed: those that were thrown, be it as a cause or among others, and those after which the
   * handler has asked for nothing. From all others it has gone on; they stay as they are.
   * @param asks how many operations were asked for in all
   */
  behind(thrown: unknown, asks: number): StepFailure[] {
    if (this.#all === undefined) return []
    const errors = new Set<unknown>()
    collect(thrown, errors, 0)
    return this.#all.filter((failure) => errors.has(failure.error) || failure.asks === asks)
  }

  /** The step whose promise was rejected with this error. */
  stepOf(error: unknown): string | undefined {
    return this.#given?.find((each) => each.error === error)?.step
  }

  /** Logs the failures of steps that nobody has awaited. */
  tellUnwatched(log: Logger): void {
    for (const { step, given, error } of this.#given ?? []) {
      if (!given.isWatched) log.warn({ err: error, step }, 'a step has failed that nobody awaited: the handler went on without it')
    }
  }
}

/** An error, its causes, and the errors that it gathers. */
function collect(thrown: unknown, errors: Set<unknown>, depth: number): void {
  errors.add(thrown)
  if (typeof thrown !== 'object' || thrown === null || depth > DEEPEST) return
  try {
    if ('cause' in thrown && !errors.has(thrown.cause)) collect(thrown.cause, errors, depth + 1)
    if ('errors' in thrown && Array.isArray(thrown.errors)) {
      for (const each of thrown.errors as unknown[]) if (!errors.has(each)) collect(each, errors, depth + 1)
    }
  } catch {
    // It cannot be looked at.
  }
}
