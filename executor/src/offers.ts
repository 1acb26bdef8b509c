// Batches that the tick has offered to everyone: taken one after the other as far as there is room, remembered while there is none.
import type { Logger } from './logger.js'
import { Pace } from './pace.js'
import { type Claim, offeredBatches, type Queryable, release, takeBatch } from './protocol.js'

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
/** So many are taken without asking first. */
const FEW_OFFERS = 8

export class Offers {
  readonly #options: OffersOptions
  readonly #batchIds = new Set<string>()
  readonly #pace = new Pace()
  #timer: NodeJS.Timeout | undefined
  #taking: Promise<void> | undefined

  constructor(options: OffersOptions) {
    this.#options = options
  }

  add(batchId: string): void {
    this.#batchIds.add(batchId)
    const [oldest] = this.#batchIds
    if (this.#batchIds.size > MOST_OFFERS && oldest !== undefined) this.#batchIds.delete(oldest)
    this.take()
  }

  /** There may be room. */
  take(): void {
    if (this.#batchIds.size === 0 || this.#taking !== undefined || this.#timer !== undefined) return
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
      const { waitMs } = this.#pace
      if (waitMs > 0 && this.#batchIds.size > 0) {
        this.#takeLater(waitMs)
        return
      }
      const room = this.#options.reserve(LARGEST_BATCH)
      try {
        if (room === 0) return
        if (this.#batchIds.size > FEW_OFFERS) await this.#forgetTaken()
        const [batchId] = this.#batchIds
        if (batchId === undefined) return
        this.#batchIds.delete(batchId)
        await this.#take(batchId, room)
      } finally {
        this.#options.unreserve(room)
      }
    }
  }

  #takeLater(waitMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.take()
    }, waitMs)
    this.#timer.unref()
  }

  /** One question about all of them: anybody can send such a NOTIFY, and most of many have been taken by others. */
  async #forgetTaken(): Promise<void> {
    const { sql, logger } = this.#options
    const asked = [...this.#batchIds]
    try {
      const offered = new Set(await offeredBatches(sql, asked))
      for (const id of asked) if (!offered.has(id)) this.#batchIds.delete(id)
      this.#pace.answered(offered.size > 0)
    } catch (error) {
      logger.warn({ err: error }, 'the database could not be asked which batches are offered')
      // The next tick offers again what is not taken.
      this.#batchIds.clear()
    }
  }

  async #take(batchId: string, room: number): Promise<void> {
    const { sql, logger, executorId, knows, onClaim } = this.#options
    try {
      const askedAt = performance.now()
      const claims = await takeBatch(sql, executorId(), batchId)
      this.#pace.answered(claims.length > 0)
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
