// Claims that fail are said to the database, once in a while, so that administrators see it where they look (fw_health).
import type { Logger } from './logger.js'
import { noteClaims, type Queryable } from './protocol.js'

export interface ClaimTroubleOptions {
  sql: Queryable
  logger: Logger
  executorId: () => string
  /** The text of an error, as it may be kept. */
  describe: (error: unknown) => string
}

const EVERY_MS = 5000

export class ClaimTrouble {
  readonly #options: ClaimTroubleOptions
  #noted: Promise<void> | undefined
  #lastNote = -Infinity
  #isFailing = false

  constructor(options: ClaimTroubleOptions) {
    this.#options = options
  }

  /** A claim has failed. Returns at once. */
  failed(error: unknown): void {
    this.#isFailing = true
    if (performance.now() - this.#lastNote < EVERY_MS) return
    this.#lastNote = performance.now()
    this.#note(this.#options.describe(error))
  }

  /** A claim has worked. Returns at once. */
  worked(): void {
    if (!this.#isFailing) return
    this.#isFailing = false
    this.#lastNote = -Infinity
    this.#note(undefined)
  }

  /** Resolves when nothing is on its way. */
  async settled(): Promise<void> {
    await this.#noted
  }

  #note(message: string | undefined): void {
    const { sql, logger, executorId } = this.#options
    const before = this.#noted
    this.#noted = (async () => {
      await before
      try {
        await noteClaims(sql, executorId(), message)
      } catch (error) {
        logger.debug({ err: error }, 'the database could not be told how claims go')
      }
    })()
  }
}
