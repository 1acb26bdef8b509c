// A handler that asks to be run again later.
import { type Duration, LONGEST_WAIT, toMilliseconds } from './duration.js'
import { WorkerError } from './errors.js'
import { isError, readProperty } from './untrusted-values.js'

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

const LONGEST_DELAY_MS = toMilliseconds(LONGEST_WAIT, 'the longest delay of Defer')

/** The delay of a thrown Defer; by the code and not by the class, for a workflow may have loaded another copy of the package. */
export function deferredMs(thrown: unknown): number | undefined {
  const delayMs = isError(thrown) && readProperty(thrown, 'code') === 'DEFER' ? readProperty(thrown, 'delayMs') : undefined
  return typeof delayMs === 'number' && delayMs >= 0 && delayMs <= LONGEST_DELAY_MS ? Math.ceil(delayMs) : undefined
}
