// One step's function: its tries, with backoff between them, each within the step's timeout.
import { setTimeout as sleep } from 'node:timers/promises'
import type { CompensateOptions, StepScope } from './context.js'
import { deferredMs } from './defer.js'
import { LONGEST_TIMER_MS, toMilliseconds } from './duration.js'
import { StepTimeoutError, UsageError } from './errors.js'
import { isPermanent } from './thrown.js'

type Work<Result> = (scope: StepScope) => Result | Promise<Result>

/**
 * Runs the function until it succeeds, or its tries are used up, or trying again cannot help.
 * @param signal fires when the run must stop: no more tries then
 * @throws what the last try threw; UsageError for options out of range
 */
export async function runStep<Result>(name: string, work: Work<Result>, options: CompensateOptions, signal: () => AbortSignal): Promise<Result> {
  const { timeout, retry } = options
  const timeoutMs = timeout === undefined ? undefined : toMilliseconds(timeout, `the timeout of step '${name}'`)
  const once = () => withTimeout(name, timeoutMs, work, signal())
  if (retry === undefined) return await once()

  const { maxAttempts = 5, backoff: { initial = '1s', factor = 2, max = '5m' } = {} } = retry
  if (!Number.isInteger(maxAttempts) || maxAttempts < 1 || maxAttempts > 100) {
    throw new UsageError(`retry.maxAttempts of step '${name}' is ${maxAttempts}, outside 1 to 100`)
  }
  if (!(factor >= 1 && factor <= 100)) throw new UsageError(`retry.backoff.factor of step '${name}' is ${factor}, outside 1 to 100`)
  const longestMs = toMilliseconds(max, `retry.backoff.max of step '${name}'`)
  let waitMs = toMilliseconds(initial, `retry.backoff.initial of step '${name}'`)
  for (let attempt = 1; ; attempt++) {
    try {
      return await once()
    } catch (error) {
      if (attempt >= maxAttempts || signal().aborted || isPermanent(error) || deferredMs(error) !== undefined) throw error
    }
    await sleep(Math.min(waitMs, longestMs, LONGEST_TIMER_MS) * Math.random(), undefined, { signal: signal() })
    waitMs *= factor
  }
}

async function withTimeout<Result>(name: string, milliseconds: number | undefined, work: Work<Result>, signal: AbortSignal): Promise<Result> {
  if (milliseconds === undefined) return await work({ signal })
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
    return await Promise.race([work({ signal: AbortSignal.any([signal, timeout.signal]) }), late])
  } finally {
    clearTimeout(timer)
  }
}
