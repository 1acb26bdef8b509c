// Reads what executions resume from, before their runs begin: their recorded steps, in pages, and inputs that a claim does not hand
// over. Many small executions are read in one call, and a large one goes to the end of the queue after each page, so that it keeps
// nobody waiting. How much large executions may hold in memory together is limited, and half of that for one organization: one that
// finds no place is handed back for a while.
import { troubleOf } from './database-errors.js'
import { PermanentError } from './errors.js'
import type { Logger } from './logger.js'
import { type Queryable, readRecorded, type Recorded, type RecordedPage, resultsLimit } from './protocol.js'
import { tooMuch } from './results-limit.js'
import type { Run } from './run.js'

export interface ResumptionOptions {
  sql: Queryable
  logger: Logger
  executorId: () => string
  /** Characters from which on an execution counts as large, and the most that large ones may hold together. */
  memory?: { large: number; most: number }
  /** Everything was read: the run may begin. */
  onReady: (run: Run) => void
  /** The run can never begin. */
  onRefused: (run: Run, error: PermanentError) => void
  /** The lease of the run is lost. */
  onLost: (run: Run) => void
  /** There is no memory for the run now: it is handed back, at no attempt. */
  onLater: (run: Run, delayMs: number) => void
}

const MOST_IN_A_CALL = 100
const MEMORY = { large: 1_000_000, most: 192_000_000 }
const LATER_MS = 5000
const AGAIN_MS = 300

interface Reading {
  run: Run
  steps: Recorded[]
  characters: number
  /** Name of the last step that was read. */
  after: string | undefined
}

export class Resumption {
  readonly #options: ResumptionOptions
  readonly #memory: { large: number; most: number }
  readonly #queue: Reading[] = []
  /** What large runs hold. */
  readonly #held = new Map<Run, number>()
  #most = MOST_IN_A_CALL
  #reading: Promise<void> | undefined
  #isClosed = false

  constructor(options: ResumptionOptions) {
    this.#options = options
    this.#memory = options.memory ?? MEMORY
  }

  /** A claimed run has something to resume from. */
  add(run: Run): void {
    this.#queue.push({ run, steps: [], characters: 0, after: undefined })
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
  }

  /** The run is no longer in flight: what it held is free. */
  remove(run: Run): void {
    this.#held.delete(run)
  }

  /** Begins nothing more. Resolves when nothing is being read. */
  async stop(): Promise<void> {
    this.#isClosed = true
    await this.#reading
  }

  async #read(): Promise<void> {
    // What the same claim brings comes in one call.
    await Promise.resolve()
    while (this.#queue.length > 0 && !this.#isClosed) {
      const group = this.#queue.splice(0, this.#most).filter(({ run }) => !run.isStopped)
      if (group.length === 0) continue
      let pages: RecordedPage[]
      try {
        pages = await readRecorded(this.#options.sql, this.#options.executorId(), group.map(({ run: { claim }, after }) => (
          { executionId: claim.executionId, batchId: claim.batchId, after })))
      } catch (error) {
        await this.#failed(group, error)
        continue
      }
      this.#most = MOST_IN_A_CALL
      for (const [at, reading] of group.entries()) {
        const page = pages[at]
        if (page !== undefined) await this.#settle(reading, page)
      }
    }
  }

  async #settle(reading: Reading, page: RecordedPage): Promise<void> {
    const { run } = reading
    if (run.isStopped) return
    if (page.state === 'fenced') {
      this.#options.onLost(run)
      return
    }
    for (const step of page.steps) reading.steps.push(step)
    reading.characters += page.bytes
    reading.after = page.steps.at(-1)?.name ?? reading.after
    if (reading.characters > this.#memory.large && !(await this.#mayHold(reading))) return
    if (page.state === 'more') {
      this.#queue.push(reading)
      return
    }
    run.resume(reading.steps.sort((a, b) => a.index - b.index), page.input, reading.characters)
    this.#options.onReady(run)
  }

  /** Whether a large execution may be held in memory; if not, what becomes of it is decided here. */
  async #mayHold({ run, characters }: Reading): Promise<boolean> {
    const { onRefused, onLater, sql, logger } = this.#options
    if (characters > run.support.resultsLimit) {
      // It may have been raised since the executor started.
      run.support.resultsLimit = await resultsLimit(sql).catch(() => run.support.resultsLimit)
      if (characters > run.support.resultsLimit) {
        onRefused(run, tooMuch(run.claim.executionId, characters, run.support.resultsLimit))
        return false
      }
    }
    let all = characters
    let ofOrganization = characters
    for (const [other, held] of this.#held) {
      if (other === run) continue
      all += held
      if (other.claim.organizationId === run.claim.organizationId) ofOrganization += held
    }
    // One alone always may.
    if ((all > this.#memory.most && all > characters) || (ofOrganization > this.#memory.most / 2 && ofOrganization > characters)) {
      const { executionId, organizationId } = run.claim
      logger.warn({ executionId, organizationId, characters, heldByOrganization: ofOrganization - characters, held: all - characters },
        'there is no memory for the recorded results of an execution: it is handed back for a while')
      onLater(run, LATER_MS)
      return false
    }
    this.#held.set(run, characters)
    return true
  }

  async #failed(group: Reading[], error: unknown): Promise<void> {
    const trouble = troubleOf(error)
    const [first] = group
    if (trouble === 'data' && group.length === 1 && first !== undefined) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#options.onRefused(first.run, new PermanentError(`what was recorded could not be read: ${reason}`, { category: 'VALIDATION', cause: error }))
      return
    }
    this.#queue.unshift(...group)
    if (trouble === 'data' || trouble === 'too much') this.#most = Math.max(1, Math.ceil(group.length / 2))
    if (trouble === 'data') return
    this.#options.logger.debug({ err: error, executions: group.length }, 'what was recorded could not be read: it is read again')
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS * (0.5 + Math.random())))
  }
}
