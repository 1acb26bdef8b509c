// Which step's function the running code belongs to, so that a step which is started within another one is told from one that
// runs beside it. Also after the function has awaited something, where Node carries a context along cheaply; else while it is called.
import { AsyncLocalStorage } from 'node:async_hooks'

/** A step whose function runs. */
export interface Inside {
  /** Undefined once the step is over: what it leaves behind, as a connection that it opened, is not within it any more. */
  run: object | undefined
  readonly step: string
}

// Before Node 24 the storage watches every promise of the process, which makes a run a quarter to a half more expensive; so there
// it is for those who ask for it. From 24 on it costs one or two tenths of a microsecond a step.
const followsAwaits = Number.parseInt(process.versions.node) >= 24 || process.env['FW_FIND_NESTED_STEPS'] === '1'
const storage = followsAwaits ? new AsyncLocalStorage<Inside>() : undefined
let calling: Inside | undefined

/** Calls the function so that it is known to be inside the step. */
export function callInside<Argument, Result>(inside: Inside, fn: (argument: Argument) => Result, argument: Argument): Result {
  if (storage !== undefined) return storage.run(inside, fn, argument)
  const outer = calling
  calling = inside
  try {
    return fn(argument)
  } finally {
    calling = outer
  }
}

/** Name of the run's step that the caller is inside of, if any. */
export function stepAround(run: object): string | undefined {
  const inside = storage === undefined ? calling : storage.getStore()
  return inside?.run === run ? inside.step : undefined
}
