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
  // A field, and below getters, so that a handler may take them out of the context; most handlers need only this one.
  readonly step: Context['step']
  readonly #operations: ContextOperations

  constructor(claim: Claim, operations: ContextOperations) {
    this.executionId = claim.executionId
    this.organizationId = claim.organizationId
    this.attempt = claim.attempt
    this.#operations = operations
    this.step = (name, fn, options) => operations.step(name, fn, options)
  }

  get transaction(): Context['transaction'] {
    const operations = this.#operations
    return (name, fn) => operations.transaction(name, fn)
  }

  get sleep(): Context['sleep'] {
    const operations = this.#operations
    return (duration, options) => operations.sleep(duration, options)
  }

  get sleepUntil(): Context['sleepUntil'] {
    const operations = this.#operations
    return (time, options) => operations.sleepUntil(time, options)
  }

  get waitForEvent(): Context['waitForEvent'] {
    const operations = this.#operations
    return (key, options) => operations.waitForEvent(key, options)
  }

  get invoke(): Context['invoke'] {
    const operations = this.#operations
    return (workflow, input, options) => operations.invoke(workflow, input, options)
  }

  get map(): Context['map'] {
    const operations = this.#operations
    return (items, work, options) => operations.map(items, work, options)
  }

  get now(): Context['now'] {
    const operations = this.#operations
    return (options) => operations.now(options)
  }

  get random(): Context['random'] {
    const operations = this.#operations
    return (options) => operations.random(options)
  }

  get uuid(): Context['uuid'] {
    const operations = this.#operations
    return (options) => operations.uuid(options)
  }

  get progress(): Context['progress'] {
    const operations = this.#operations
    return (fraction, text) => {
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
