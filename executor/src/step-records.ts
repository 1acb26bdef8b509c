// What a run records of its steps, and what it makes of what was recorded.
import type { StepOptions } from './context.js'
import { keep } from './json.js'
import type { Checkpoint, Recorded } from './protocol.js'
import { errorFrom, recordError } from './recorded-error.js'
import type { Asked } from './replay.js'
import type { OpenRun } from './run-support.js'

/** What was recorded of a step, once it is its turn. */
export function resultOf(run: OpenRun, place: Asked, recorded: Recorded): unknown {
  if (recorded.error === undefined) return recorded.nothing === true ? undefined : recorded.output
  const error = errorFrom(recorded.error)
  const again: Checkpoint = { ...checkpoint(place, recorded.asked, recorded.order, performance.now(), undefined, false), error: JSON.stringify(recorded.error) }
  run.failures.add({ error, checkpoint: again, asks: run.replay.asks })
  throw error
}

/** Records that a step has failed. Returns the error as the handler sees it, in every run alike. */
export function noteFailure(run: OpenRun, place: Asked, asked: string | undefined, order: number | undefined, started: number, thrown: unknown): Error {
  // The handler has thrown and does not see it: the step runs again.
  const again = run.isEnded ? { again: true } : {}
  const { value: recorded, text = '{}' } = keep({ ...recordError(thrown, run.support.redact), ...again }, 'an error')
  const failed: Checkpoint = { ...checkpoint(place, asked, order, started, undefined, false), error: text }
  const error = errorFrom(recorded)
  run.note(failed)
  run.failures.add({ error, checkpoint: failed, asks: run.replay.asks })
  return error as Error
}

/** A completed step that was recorded. If the run only compensates, it learns here how to undo it. */
export function metAgain<Result>(run: OpenRun, place: Asked, recorded: Recorded, result: Result, { compensate, compensateOptions = {} }: StepOptions<Result>): void {
  if (compensate === undefined) return
  const { compensations } = run
  if (compensations !== undefined) {
    compensations.add({ step: place.name, run: (scope) => compensate(result, scope), options: compensateOptions })
    if (compensations.isComplete) run.compensate()
  } else if (recorded.compensable !== true) {
    // Recorded by an executor of an older version, or before the step got its compensation.
    run.note(checkpoint(place, undefined, recorded.order, performance.now(), keep(result, `the result of step '${place.name}'`).text, true))
  }
}

/** @param started by performance.now() */
export function checkpoint(place: Asked, asked: string | undefined, order: number | undefined, started: number, output: string | undefined, isCompensable: boolean): Checkpoint {
  const { name, index, askedOrder } = place
  const made: Checkpoint = { name, index, output, durationMs: Math.round(performance.now() - started) }
  if (asked !== undefined) made.asked = asked
  if (askedOrder !== undefined) made.askedOrder = askedOrder
  if (order !== undefined && order !== index) made.order = order
  if (isCompensable) made.isCompensable = true
  return made
}
