// Hears by NOTIFY that executions of this executor were ended from outside, and asks the database whether it is so: only the database's word
// stops a run. What is not heard is found when leases are extended.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from './logger.js'
import { Pace } from './pace.js'
import { type Ended, endedExecutions, type Queryable } from './protocol.js'
import type { Run } from './run.js'

export interface EndedHintsOptions {
  sql: Queryable
  logger: Logger
  /** What is in flight here. */
  held: () => Iterable<Run>
  /** The database says so. */
  onEnded: (ended: Ended) => void
  /** The database says that so many of those that were heard of have not ended. */
  onDenied: (count: number) => void
}

/** With more at once all runs are asked about. */
const MOST_HEARD = 1000
/** After a failure. */
const PAUSE_MS = 2000

export class EndedHints {
  readonly #options: EndedHintsOptions
  readonly #heard = new Set<string>()
  readonly #pace = new Pace()
  readonly #stopping = new AbortController()
  #isAll = false
  #asking: Promise<void> | undefined

  constructor(options: EndedHintsOptions) {
    this.#options = options
  }

  /** It may have ended. Returns at once. */
  hear({ executionId, batchId }: { executionId: string; batchId: string }): void {
    if (this.#heard.size < MOST_HEARD) this.#heard.add(keyOf(executionId, batchId))
    else this.#isAll = true
    this.#asking ??= this.#askWhileHeard()
  }

  /** Resolves when nothing is being asked; nothing is asked any more. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#asking
  }

  async #askWhileHeard(): Promise<void> {
    const { signal } = this.#stopping
    while ((this.#heard.size > 0 || this.#isAll) && !signal.aborted) {
      const { waitMs } = this.#pace
      if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => undefined)
      if (!(await this.#ask())) await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined)
    }
    this.#asking = undefined
  }

  async #ask(): Promise<boolean> {
    const { sql, logger, held, onEnded, onDenied } = this.#options
    const isAll = this.#isAll
    const claims = [...held()].map(({ claim }) => claim).filter(({ executionId, batchId }) => isAll || this.#heard.has(keyOf(executionId, batchId)))
    this.#heard.clear()
    this.#isAll = false
    if (claims.length === 0) {
      this.#pace.answered(false)
      return true
    }
    try {
      const ended = await endedExecutions(sql, claims.map(({ executionId }) => executionId), claims.map(({ batchId }) => batchId))
      for (const each of ended) onEnded(each)
      if (!isAll && ended.length < claims.length) onDenied(claims.length - ended.length)
      this.#pace.answered(ended.length > 0)
      return true
    } catch (error) {
      logger.warn({ err: error }, 'the database could not be asked which executions have ended; trying again')
      this.#isAll = true
      return false
    }
  }
}

const keyOf = (executionId: string, batchId: string): string => `${executionId} ${batchId}`
