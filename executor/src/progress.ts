// What handlers say about how far they are, on its way to the database: the last word of each run, once in a while.
import type { Logger } from './logger.js'
import { type Queryable, setProgress } from './protocol.js'
import type { Run } from './run.js'

export interface ProgressOptions {
  sql: Queryable
  logger: Logger
  executorId: () => string
}

const EVERY_MS = 500

export class Progress {
  readonly #options: ProgressOptions
  readonly #latest = new Map<Run, { fraction: number; text: string | undefined }>()
  #timer: NodeJS.Timeout | undefined
  #sending: Promise<void> | undefined

  constructor(options: ProgressOptions) {
    this.#options = options
  }

  note(run: Run, fraction: number, text: string | undefined): void {
    this.#latest.set(run, { fraction, text })
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#sending = this.#send()
    }, EVERY_MS)
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#sending
  }

  async #send(): Promise<void> {
    const { sql, logger, executorId } = this.#options
    const latest = [...this.#latest]
    this.#latest.clear()
    for (const [run, { fraction, text }] of latest) {
      try {
        await setProgress(sql, executorId(), run.claim, fraction, text)
      } catch (error) {
        logger.warn({ err: error, executionId: run.claim.executionId }, 'how far an execution is could not be noted')
      }
    }
  }
}
