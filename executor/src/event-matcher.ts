// Asks the database to look again at events that were emitted, or waited for, in a transaction whose snapshot may have been too old
// to see the other side. The database says by NOTIFY that there are some; the tick does the same every minute.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from './logger.js'
import { Pace } from './pace.js'
import { matchEvents, type Queryable } from './protocol.js'

export interface EventMatcherOptions {
  sql: Queryable
  logger: Logger
}

/** After a failure. */
const PAUSE_MS = 2000

export class EventMatcher {
  readonly #options: EventMatcherOptions
  readonly #pace = new Pace()
  #matching: Promise<void> | undefined
  /** Asked for, and no look has begun since. */
  #isAsked = false
  readonly #stopping = new AbortController()

  constructor(options: EventMatcherOptions) {
    this.#options = options
  }

  /** There may be such events. Returns at once. */
  match(): void {
    this.#isAsked = true
    this.#matching ??= this.#matchWhileAsked()
  }

  /** Resolves when none is under way; none begins any more. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#matching
  }

  async #matchWhileAsked(): Promise<void> {
    const { sql, logger } = this.#options
    const { signal } = this.#stopping
    while (this.#isAsked && !signal.aborted) {
      this.#isAsked = false
      const { waitMs } = this.#pace
      if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => undefined)
      try {
        await matchEvents(sql)
        // It does not say whether there was something.
        this.#pace.answered(false)
      } catch (error) {
        logger.warn({ err: error }, 'events could not be matched with those who wait for them; trying again')
        this.#isAsked = true
        await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined)
      }
    }
    this.#matching = undefined
  }
}
