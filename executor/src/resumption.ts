// Reads what executions resume from, before their runs begin: their recorded steps, in pages, and inputs that a claim does not hand
// over. Many small executions are read in one call. Organizations that have much to read stand in a line of their own, so that they keep
// nobody else waiting, and there a large execution goes to the end after each page. How much large executions may hold in memory together
// is limited, and half of that for one organization: one that finds no place is handed back for a while.
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
/** Characters that a call brings at the most, and of each execution; a single step, or an input, may be larger. */
const SHORT_PAGE = { most: 1_000_000, each: 100_000 }
const LONG_PAGE = { most: 4_000_000, each: 1_000_000 }
/** An organization of which a page has brought more than that of one execution stands in the long line for so many milliseconds. */
const MUCH = 100_000
const LONG_LINE_MS = 10_000
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

/** One call after the other. */
interface Line {
  readonly page: { most: number; each: number }
  readonly queue: Reading[]
  most: number
  reading: Promise<void> | undefined
}

export class Resumption {
  readonly #options: ResumptionOptions
  readonly #memory: { large: number; most: number }
  readonly #short: Line = { page: SHORT_PAGE, queue: [], most: MOST_IN_A_CALL, reading: undefined }
  readonly #long: Line = { page: LONG_PAGE, queue: [], most: MOST_IN_A_CALL, reading: undefined }
  /** Organizations that stand in the long line, and until when, by performance.now(). */
  readonly #isLongUntil = new Map<string, number>()
  /** What large runs hold. */
  readonly #held = new Map<Run, number>()
  #isClosed = false

  constructor(options: ResumptionOptions) {
    this.#options = options
    this.#memory = options.memory ?? MEMORY
  }

  /** A claimed run has something to resume from. */
  add(run: Run): void {
    this.#queue({ run, steps: [], characters: 0, after: undefined })
  }

  #queue(reading: Reading): void {
    const line = this.#hasMuch(reading) ? this.#long : this.#short
    line.queue.push(reading)
    line.reading ??= this.#read(line)
  }

  #hasMuch({ run: { claim } }: Reading): boolean {
    return (this.#isLongUntil.get(claim.organizationId) ?? 0) > performance.now()
  }

  /** The run is no longer in flight: what it held is free. */
  remove(run: Run): void {
    this.#held.delete(run)
  }

  /** Begins nothing more. Resolves when nothing is being read. */
  async stop(): Promise<void> {
    this.#isClosed = true
    await Promise.all([this.#short.reading, this.#long.reading])
  }

  async #read(line: Line): Promise<void> {
    // What the same claim brings comes in one call.
    await Promise.resolve()
    while (line.queue.length > 0 && !this.#isClosed) {
      const group = this.#next(line)
      if (group.length === 0) continue
      let pages: RecordedPage[]
      try {
        pages = await readRecorded(this.#options.sql, this.#options.executorId(), group.map(({ run: { claim }, after }) => (
          { executionId: claim.executionId, batchId: claim.batchId, after })), line.page)
      } catch (error) {
        await this.#failed(line, group, error)
        continue
      }
      line.most = MOST_IN_A_CALL
      for (const [at, reading] of group.entries()) {
        const page = pages[at]
        if (page !== undefined) await this.#settle(reading, page)
      }
    }
    line.reading = undefined
  }

  #next(line: Line): Reading[] {
    const group: Reading[] = []
    for (const reading of line.queue.splice(0, line.most)) {
      if (reading.run.isStopped) continue
      // Its organization was found to have much since it took its place.
      if (line === this.#short && this.#hasMuch(reading)) this.#queue(reading)
      else group.push(reading)
    }
    return group
  }

  async #settle(reading: Reading, page: RecordedPage): Promise<void> {
    const { run } = reading
    if (run.isStopped) return
    if (page.state === 'fenced') {
      this.#options.onLost(run)
      return
    }
    if (page.bytes > MUCH) this.#noteMuch(run.claim.organizationId)
    for (const step of page.steps) reading.steps.push(step)
    reading.characters += page.bytes
    reading.after = page.steps.at(-1)?.name ?? reading.after
    if (reading.characters > this.#memory.large && !(await this.#mayHold(reading))) return
    if (page.state === 'more') {
      this.#queue(reading)
      return
    }
    run.resume(reading.steps.sort((a, b) => a.index - b.index), page.input, reading.characters)
    this.#options.onReady(run)
  }

  #noteMuch(organizationId: string): void {
    const now = performance.now()
    for (const [id, until] of this.#isLongUntil) if (until <= now) this.#isLongUntil.delete(id)
    this.#isLongUntil.set(organizationId, now + LONG_LINE_MS)
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

  async #failed(line: Line, group: Reading[], error: unknown): Promise<void> {
    const trouble = troubleOf(error)
    const [first] = group
    if (trouble === 'data' && group.length === 1 && first !== undefined) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#options.onRefused(first.run, new PermanentError(`what was recorded could not be read: ${reason}`, { category: 'VALIDATION', cause: error }))
      return
    }
    line.queue.unshift(...group)
    if (trouble === 'data' || trouble === 'too much') line.most = Math.max(1, Math.ceil(group.length / 2))
    if (trouble === 'data') return
    this.#options.logger.debug({ err: error, executions: group.length }, 'what was recorded could not be read: it is read again')
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS * (0.5 + Math.random())))
  }
}
