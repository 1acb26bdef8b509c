// Batches that the tick has offered to everyone: taken one after the other as far as there is room, remembered while there is none.
import type { Logger } from './logger.js'
import { type Claim, type Queryable, release, takeBatch } from './protocol.js'

export interface OffersOptions {
  sql: Queryable
  logger: Logger
  executorId: () => string
  /** Keeps room for so many executions at most, and says for how many; 0 while nothing new may start. */
  reserve: (most: number) => number
  /** The room that was kept is filled, or is not needed. */
  unreserve: (room: number) => void
  knows: (workflowName: string) => boolean
  /** Starts what was taken. `askedAt` is performance.now() before the call that granted it. */
  onClaim: (claim: Claim, askedAt: number) => void
}

/** A batch has no more executions. */
const LARGEST_BATCH = 50
/** Older ones have been taken by others, or taken back. */
const MOST_OFFERS = 1000

export class Offers {
  readonly #options: OffersOptions
  readonly #batchIds: string[] = []
  #taking: Promise<void> | undefined

  constructor(options: OffersOptions) {
    this.#options = options
  }

  add(batchId: string): void {
    this.#batchIds.push(batchId)
    if (this.#batchIds.length > MOST_OFFERS) this.#batchIds.shift()
    this.take()
  }

  /** There may be room. */
  take(): void {
    if (this.#batchIds.length === 0 || this.#taking !== undefined) return
    this.#taking = this.#takeWhileThereIsRoom().finally(() => {
      this.#taking = undefined
    })
  }

  /** Resolves when nothing is being taken. */
  async settled(): Promise<void> {
    await this.#taking
  }

  async #takeWhileThereIsRoom(): Promise<void> {
    for (;;) {
      const room = this.#options.reserve(LARGEST_BATCH)
      try {
        const batchId = room > 0 ? this.#batchIds.shift() : undefined
        if (batchId === undefined) return
        await this.#take(batchId, room)
      } finally {
        this.#options.unreserve(room)
      }
    }
  }

  async #take(batchId: string, room: number): Promise<void> {
    const { sql, logger, executorId, knows, onClaim } = this.#options
    try {
      const askedAt = performance.now()
      const claims = await takeBatch(sql, executorId(), batchId)
      // It was offered to everyone: there may be more in it than has room here, and what only other executors know.
      const own = claims.filter(({ workflowName }) => knows(workflowName)).slice(0, room)
      for (const claim of own) onClaim(claim, askedAt)
      const others = claims.filter((claim) => !own.includes(claim))
      if (others.length > 0) await release(sql, executorId(), others)
    } catch (error) {
      logger.warn({ err: error, batchId }, 'an offered batch could not be taken')
    }
  }
}
