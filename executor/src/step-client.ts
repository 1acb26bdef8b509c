// The client that a transaction step is given: it passes queries on one after the other, and tells a step that begins or ends
// transactions by itself, before more of it is written outside of the one that it was given.
import type pg from 'pg'
import type { TransactionClient } from './context.js'
import { UsageError } from './errors.js'

const LEAVE_IT = 'leave commit and rollback to the worker'
const BEGINS = new Set(['BEGIN', 'START'])

export class StepClient {
  readonly given: TransactionClient
  readonly #client: pg.PoolClient
  readonly #step: string
  #last: Promise<unknown> = Promise.resolve()
  /** Why nothing is sent any more. */
  #refusal: UsageError | undefined
  #misuse: UsageError | undefined
  #failure: unknown

  constructor(client: pg.PoolClient, step: string) {
    this.#client = client
    this.#step = step
    this.given = { query: ((...asked: unknown[]) => this.#query(asked)) as TransactionClient['query'] }
  }

  /** The error of the first query that failed, if any. */
  get failure(): unknown {
    return this.#failure
  }

  /**
   * Takes no more queries, and waits for those that the step did not wait for.
   * @throws UsageError when the step began or ended a transaction
   */
  async close(): Promise<void> {
    this.over()
    await this.#last
    // Also of a query that was answered by a callback.
    if (this.#client.getTransactionStatus() === 'I') this.#notice(this.#ended())
    if (this.#misuse !== undefined) throw this.#misuse
  }

  over(): void {
    this.#refusal ??= new UsageError(`step '${this.#step}' is over, and with it the transaction that it was given`)
  }

  #query(asked: unknown[]): unknown {
    if (this.#refusal !== undefined) return refuse(asked, this.#refusal)
    const send = this.#client.query.bind(this.#client) as (...asked: unknown[]) => unknown
    if (!isPromised(asked)) return send(...asked)
    const answer = this.#last.then(async () => {
      if (this.#misuse !== undefined) throw this.#misuse
      let result: unknown
      try {
        result = await send(...asked)
      } catch (error) {
        this.#failure ??= error
        throw error
      }
      this.#check(result)
      return result
    })
    // Nobody need wait for it: what failed shows when the transaction ends.
    this.#last = answer.catch(() => undefined)
    return answer
  }

  /** Of a query, or of each of several in one text. */
  #check(result: unknown): void {
    for (const { command } of [result].flat() as { command?: unknown }[]) {
      if (typeof command !== 'string') continue
      if (BEGINS.has(command)) {
        this.#notice(new UsageError(`step '${this.#step}' sent BEGIN, but it is inside a transaction already, which is now rolled back; ${LEAVE_IT}`))
      }
      if (command === 'COMMIT') this.#notice(this.#ended('COMMIT', '. What it had written until then is committed, and the step is not recorded'))
    }
    if (this.#client.getTransactionStatus() === 'I') this.#notice(this.#ended())
    if (this.#misuse !== undefined) throw this.#misuse
  }

  #ended(how = 'ROLLBACK or the like', consequence = ''): UsageError {
    return new UsageError(`step '${this.#step}' ended the transaction that it was given, by ${how}; ${LEAVE_IT}${consequence}`)
  }

  /** The first counts; nothing is sent after it. */
  #notice(misuse: UsageError): void {
    this.#misuse ??= misuse
    this.#refusal ??= misuse
  }
}

/** Answers as pg would. A promise that nobody looks at does not end the process. */
function refuse(asked: readonly unknown[], refusal: UsageError): Promise<never> | undefined {
  const callback = asked.find((each) => typeof each === 'function') as ((error: Error) => void) | undefined
  if (callback !== undefined) {
    setImmediate(callback, refusal)
    return undefined
  }
  const refused = Promise.reject(refusal)
  refused.catch(() => undefined)
  return refused
}

/** Whether pg answers with a promise: not to a callback, nor for a query object that is its own answer. */
function isPromised([config, ...more]: unknown[]): boolean {
  if (more.some((each) => typeof each === 'function')) return false
  if (typeof config !== 'object' || config === null) return true
  return !('submit' in config && typeof config.submit === 'function') && !('callback' in config && typeof config.callback === 'function')
}
