// What handlers say about how far they are, on its way to the database: the last word of each run, once in a while, and before
// the run ends or begins to wait. What several runs have to say goes in one call.
import { troubleOf } from './database-errors.js'
import type { Logger } from './logger.js'
import { noteProgress, type Queryable } from './protocol.js'
import type { Run } from './run.js'

export interface ProgressOptions {
  sql: Queryable
  logger: Logger
  executorId: () => string
}

const EVERY_MS = 500
const LONGEST_TEXT = 1000

interface Said {
  fraction: number
  text: string | undefined
}

export class Progress {
  readonly #options: ProgressOptions
  readonly #unsent = new Map<Run, Said>()
  /** Those whose last word is on its way. */
  readonly #sent = new Set<Run>()
  #timer: NodeJS.Timeout | undefined
  #sending: Promise<void> | undefined

  constructor(options: ProgressOptions) {
    this.#options = options
  }

  note(run: Run, fraction: number, text: string | undefined): void {
    this.#unsent.set(run, { fraction, text: text?.slice(0, LONGEST_TEXT).replaceAll('\0', '').toWellFormed() })
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      void this.#send()
    }, EVERY_MS)
  }

  /** Whether the last word of a run has not arrived yet. */
  holds(run: Run): boolean {
    return this.#unsent.has(run) || this.#sent.has(run)
  }

  /** Resolves when the last word of a run has arrived, or could not be noted. */
  async flush(run: Run): Promise<void> {
    while (this.holds(run)) await this.#send()
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#sending
  }

  /** One call at a time: meanwhile the others gather. */
  #send(): Promise<void> {
    this.#sending ??= this.#sendGroup().finally(() => {
      this.#sending = undefined
    })
    return this.#sending
  }

  async #sendGroup(): Promise<void> {
    // Runs that end in the same turn of the event loop go together.
    await new Promise((resolve) => setImmediate(resolve))
    const group = [...this.#unsent]
    if (group.length === 0) return
    this.#unsent.clear()
    for (const [run] of group) this.#sent.add(run)
    await this.#note(group)
    for (const [run] of group) this.#sent.delete(run)
  }

  async #note(group: readonly [Run, Said][]): Promise<void> {
    const { sql, logger, executorId } = this.#options
    try {
      await noteProgress(sql, executorId(), group.map(([{ claim: { executionId, batchId } }, said]) => ({ executionId, batchId, ...said })))
    } catch (error) {
      const organizations = [...new Set(group.map(([run]) => run.claim.organizationId))]
      if (troubleOf(error) === 'locked' && organizations.length > 1) {
        // Somebody holds the rows of one of them.
        for (const id of organizations) await this.#note(group.filter(([run]) => run.claim.organizationId === id))
        return
      }
      logger.warn({ err: error, executions: group.length }, 'how far executions are could not be noted')
    }
  }
}
