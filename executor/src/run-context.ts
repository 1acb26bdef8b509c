// The context as an object. Classes, because an object literal with a getter is several times as expensive to make, and
// every run makes two.
import type { Context, StepScope } from './context.js'
import type { Logger } from './logger.js'
import type { Claim } from './protocol.js'

/** What the context hands on to its run. */
export interface ContextOperations extends Omit<Context, 'executionId' | 'organizationId' | 'attempt' | 'signal' | 'log'> {
  signal(): AbortSignal
  log(): Logger
}

export class RunScope implements StepScope {
  readonly #operations: ContextOperations

  constructor(operations: ContextOperations) {
    this.#operations = operations
  }

  get signal(): AbortSignal {
    return this.#operations.signal()
  }
}

export class RunContext implements Context {
  readonly executionId: string
  readonly organizationId: string
  readonly attempt: number
  // Fields, so that a handler may take them out of the context.
  readonly step: Context['step']
  readonly transaction: Context['transaction']
  readonly sleep: Context['sleep']
  readonly sleepUntil: Context['sleepUntil']
  readonly waitForEvent: Context['waitForEvent']
  readonly invoke: Context['invoke']
  readonly map: Context['map']
  readonly now: Context['now']
  readonly random: Context['random']
  readonly uuid: Context['uuid']
  readonly progress: Context['progress']
  readonly #operations: ContextOperations

  constructor(claim: Claim, operations: ContextOperations) {
    this.executionId = claim.executionId
    this.organizationId = claim.organizationId
    this.attempt = claim.attempt
    this.#operations = operations
    this.step = (name, fn, options) => operations.step(name, fn, options)
    this.transaction = (name, fn) => operations.transaction(name, fn)
    this.sleep = (duration) => operations.sleep(duration)
    this.sleepUntil = (time) => operations.sleepUntil(time)
    this.waitForEvent = (key, options) => operations.waitForEvent(key, options)
    this.invoke = (workflow, input) => operations.invoke(workflow, input)
    this.map = (items, work, options) => operations.map(items, work, options)
    this.now = () => operations.now()
    this.random = () => operations.random()
    this.uuid = () => operations.uuid()
    this.progress = (fraction, text) => {
      operations.progress(fraction, text)
    }
  }

  get signal(): AbortSignal {
    return this.#operations.signal()
  }

  get log(): Logger {
    return this.#operations.log()
  }
}
