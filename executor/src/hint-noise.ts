// Notifications that led to nothing because they made no sense or were not true: counted, and told once a minute at the most, for anybody who
// may connect to the database can send as many as they like.
import type { Logger } from './logger.js'

const APART_MS = 60_000

export class HintNoise {
  readonly #logger: Logger
  #unreadable = 0
  #untrue = 0
  #timer: NodeJS.Timeout | undefined

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** One that is not in any form that the worker sends. */
  unreadable(): void {
    this.#unreadable++
    this.#tellLater()
  }

  /** So many that the database denies. */
  untrue(count: number): void {
    this.#untrue += count
    this.#tellLater()
  }

  /** Tells what is left. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#tell()
  }

  /** The first one at once, those that follow it together. */
  #tellLater(): void {
    if (this.#timer !== undefined) return
    this.#tell()
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      if (this.#unreadable + this.#untrue > 0) this.#tellLater()
    }, APART_MS)
    this.#timer.unref()
  }

  #tell(): void {
    const [unreadable, untrue] = [this.#unreadable, this.#untrue]
    this.#unreadable = this.#untrue = 0
    if (unreadable + untrue === 0) return
    this.#logger.warn({ unreadable, untrue }, 'somebody sends notifications on the channels of the worker that make no sense or are not true; they are only hints, and were ignored')
  }
}
