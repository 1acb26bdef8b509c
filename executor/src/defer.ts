// A handler that asks to be run again later.
import { type Duration, LONGEST_WAIT, toMilliseconds } from './duration.js'
import { WorkerError } from './errors.js'

/** Throw it in a handler or a step to be run again later, as for a rate limit: it is no failed attempt. */
export class Defer extends WorkerError {
  readonly delayMs: number

  /**
   * @param delay how much later, up to ten years
   * @throws UsageError for a delay out of range
   */
  constructor(delay: Duration) {
    const delayMs = toMilliseconds(delay, 'the delay of Defer', LONGEST_WAIT)
    super('DEFER', `deferred for ${delayMs} ms`)
    this.delayMs = delayMs
  }
}

/** The delay of a thrown Defer; by the code and not by the class, for a workflow may have loaded another copy of the package. */
export function deferredMs(thrown: unknown): number | undefined {
  const isDefer = thrown instanceof Error && 'code' in thrown && thrown.code === 'DEFER'
  return isDefer && 'delayMs' in thrown && typeof thrown.delayMs === 'number' ? thrown.delayMs : undefined
}
