// The conversation with the database: groups what runs have to say into few calls, and brings back new work in the same
// round trip.
//
// A lane is one connection and one conversation on it at a time. While a lane is on its way, everything that runs say
// gathers in the outbox, so under load a call carries hundreds of reports and costs one commit for all of them, and when
// idle a single report leaves at once. Each lane sends, pipelined: reports, failures, releases, then a claim for the room
// that these make. One more lane, without claims, is for what could keep others waiting: what is large, and what is locked.
import type pg from 'pg'
import type { Logger } from './logger.js'
import { troubleOf } from './database-errors.js'
import { Delivery, type Gone } from './delivery.js'
import { ExecutionEndedError, LeaseLostError } from './errors.js'
import { Hints } from './hints.js'
import { Looks } from './looks.js'
import { type Item, Outbox, PATIENCE_MS } from './outbox.js'
import * as protocol from './protocol.js'
import type { Outcome } from './outcome.js'
import type { Run } from './run.js'
import type { Describe } from './thrown.js'

export interface ExchangeOptions {
  /** Pool of pipelined connections, for the lanes alone. */
  pool: pg.Pool
  logger: Logger
  /** Most executions in flight. */
  capacity: number
  lanes: number
  executorId: () => string
  /** The text of an error, as it may be kept. */
  describe: Describe
  /** New work: makes a run of it, which is in flight until it is reported, and starts it. */
  onClaim: (claim: protocol.Claim) => Run
  /** A run is no longer in flight: reported, its lease lost, or its execution ended from outside. */
  onGone: (run: Run, how: Gone | 'fenced' | 'ended') => void
  /** A claim has failed, or, with undefined, has worked. */
  onClaims: (error: unknown) => void
  /** The database does not know the executor. */
  onUnknown: () => Promise<void>
}

const MOST_ITEMS = 1000
const LONGEST_PAUSE_MS = 2000

export class Exchange {
  readonly #options: ExchangeOptions
  readonly #outbox = new Outbox()
  readonly #delivery: Delivery
  readonly #lanes = new Set<Promise<void>>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #hints = new Hints(() => {
    this.lookForWork()
  })
  readonly #looks = new Looks(() => {
    this.lookForWork()
  })
  readonly #held = new Set<Run>()
  /** Room that claims, and other calls, on their way may fill. */
  #reserved = 0
  /** Places of runs whose end is on its way. */
  #ending = 0
  /** There may be work. */
  #lookForWork = false
  /** The last claim filled half the room at least, or there was none yet: there is more. */
  #plenty = true
  #claiming = false
  #isApartOnItsWay = false
  /** The last claim failed for the data of something that it met: the next one sets that aside. */
  #isApart = false
  #closed = false
  #scheduled = false
  #isPatient = false
  #pauseUntil = 0
  #troubles = 0
  #lastClaim = 0

  constructor(options: ExchangeOptions) {
    this.#options = options
    this.#delivery = new Delivery({
      outbox: this.#outbox,
      logger: options.logger,
      executorId: options.executorId,
      describe: options.describe,
      onGone: (run, how) => {
        this.#gone(run, how)
      },
      onLost: (run) => {
        this.lose(run)
      },
      onHindered: (pauseMs) => {
        // A timer may fire a little early.
        this.#after(pauseMs + 5)
      },
    })
  }

  get inFlight(): number {
    return this.#held.size
  }

  /** performance.now() of the last claim that was sent. */
  get lastClaim(): number {
    return this.#lastClaim
  }

  /** From now on claims fill the room. */
  startClaiming(): void {
    this.#claiming = true
    this.lookForWork()
  }

  stopClaiming(): void {
    this.#claiming = false
  }

  /** There may be work: claim when there is room. */
  lookForWork(): void {
    this.#lookForWork = true
    this.#schedule()
  }

  /** A NOTIFY says so, of one organization or of any. */
  hear(organizationId?: string): void {
    this.#hints.hear(organizationId)
  }

  /** The runs in flight. */
  get held(): ReadonlySet<Run> {
    return this.#held
  }

  /**
   * Keeps room for work that is asked for outside of a claim, so that no claim fills it meanwhile.
   * @returns for how many executions; 0 when there is none
   */
  reserve(most: number): number {
    const room = Math.max(0, Math.min(most, this.#options.capacity - this.#held.size - this.#reserved))
    this.#reserved += room
    return room
  }

  /** The room that was kept is filled by now, or is not needed. */
  unreserve(room: number): void {
    this.#reserved -= room
    if (room > 0) this.#schedule()
  }

  /** Work was handed over outside of a claim. */
  add(run: Run): void {
    this.#held.add(run)
  }

  noteCheckpoint(run: Run): void {
    if (this.#outbox.note(run)) this.#sendPatientItems()
  }

  /** Resolves when everything that the run has completed is durable; at once when it is already. */
  makeDurable(run: Run): Promise<void> {
    if (!this.#outbox.holds(run)) return Promise.resolve()
    const durable = this.#outbox.wait(run)
    this.#schedule()
    return durable
  }

  end(run: Run, outcome: Exclude<Outcome, { kind: 'lost' }>): void {
    this.#outbox.end(run, outcome)
    this.#schedule()
  }

  /** The lease of a run was lost: it is out of flight, and nothing of it is sent any more. */
  lose(run: Run): void {
    this.#abandon(run, new LeaseLostError(run.claim.executionId), 'fenced')
  }

  /** An execution was ended from outside; its run goes the same way. */
  cancel({ executionId, batchId, reason }: protocol.Ended): void {
    for (const run of this.#held) {
      if (run.claim.executionId !== executionId || run.claim.batchId !== batchId) continue
      this.#abandon(run, new ExecutionEndedError(executionId, reason), 'ended')
    }
  }

  #abandon(run: Run, error: LeaseLostError | ExecutionEndedError, how: 'fenced' | 'ended'): void {
    run.stop(error)
    this.#outbox.drop(run, error)
    this.#gone(run, how)
    // Its place is free.
    this.lookForWork()
  }

  /** Whether everything that was said has arrived. */
  get isDrained(): boolean {
    return this.#lanes.size === 0 && this.#outbox.size === 0
  }

  /** Sends nothing more. What has not arrived is left to the leases. */
  async close(): Promise<void> {
    this.#closed = true
    this.#looks.stop()
    this.#hints.stop()
    for (const timer of this.#timers) clearTimeout(timer)
    await Promise.all(this.#lanes)
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return
    this.#scheduled = true
    // Runs that end in the same turn of the event loop leave together.
    setImmediate(() => {
      this.#scheduled = false
      this.#startLanes()
    })
  }

  /** One timer for all that waits in the outbox without hurry. */
  #sendPatientItems(): void {
    if (this.#isPatient) return
    this.#isPatient = true
    this.#after(PATIENCE_MS, () => {
      this.#isPatient = false
      if (this.#outbox.size > 0) this.#sendPatientItems()
    })
  }

  #after(milliseconds: number, then?: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      this.#schedule()
      then?.()
    }, milliseconds)
    this.#timers.add(timer)
  }

  #startLanes(): void {
    const { capacity, lanes } = this.#options
    const most = Math.min(MOST_ITEMS, Math.ceil(capacity / lanes))
    if (!this.#closed && !this.#isApartOnItsWay && performance.now() >= this.#pauseUntil) {
      const items = this.#outbox.takeApart(most)
      if (items.length > 0) {
        this.#isApartOnItsWay = true
        this.#converse(items, endsOf(items), 0, () => {
          this.#isApartOnItsWay = false
        })
      }
    }
    while (!this.#closed && this.#lanes.size - (this.#isApartOnItsWay ? 1 : 0) < lanes && performance.now() >= this.#pauseUntil) {
      const items = this.#outbox.take(most)
      const ending = endsOf(items)
      const free = capacity - this.#held.size + this.#ending + ending - this.#reserved
      // A lane's share at the most: so while the database works for one lane, the runs of the other have their turn here.
      const wanted = this.#claiming && (ending > 0 || this.#lookForWork || this.#plenty)
      const room = wanted ? Math.max(0, Math.min(free, Math.ceil(capacity / lanes))) : 0
      if (items.length === 0 && room === 0) return
      this.#converse(items, ending, room)
    }
  }

  #converse(items: Item[], ending: number, room: number, then?: () => void): void {
    this.#reserved += room
    this.#ending += ending
    // Ends that are reported without a claim free places that the next claim may fill.
    if (room > 0) this.#lookForWork = false
    else if (ending > 0) this.#lookForWork = true
    const hints = room > 0 ? this.#hints.take() : []
    const lane = this.#lane(items, ending, room, hints)
      .catch((error: unknown) => {
        this.#options.logger.error({ err: error }, 'a conversation with the database failed in an unforeseen way')
      })
      .finally(() => {
        this.#lanes.delete(lane)
        then?.()
        this.#schedule()
      })
    this.#lanes.add(lane)
  }

  async #lane(items: Item[], ending: number, room: number, hints: string[]): Promise<void> {
    let client: pg.PoolClient
    try {
      client = await this.#options.pool.connect()
    } catch (error) {
      this.#reserved -= room
      this.#ending -= ending
      for (const item of items) this.#outbox.putBack(item, item.alone)
      if (room > 0) this.#lookForWork = true
      this.#pause(error)
      return
    }
    let broken = false
    try {
      const sent = [this.#sendItems(client, items, ending)]
      if (room > 0) sent.push(this.#sendClaim(client, room, hints))
      broken = (await Promise.all(sent)).includes('broken')
    } finally {
      client.release(broken)
    }
  }

  async #sendItems(client: pg.PoolClient, items: Item[], ending: number): Promise<'fine' | 'broken'> {
    const { refusals, laterMs } = await this.#delivery.send(client, items)
    this.#ending -= ending
    for (const milliseconds of laterMs) this.#looks.later(milliseconds)
    const troubles = refusals.map(troubleOf)
    const unanswered = troubles.findIndex((trouble) => trouble !== 'data' && trouble !== 'locked')
    if (unanswered >= 0) return this.#pause(refusals[unanswered])
    return troubles.includes('data') ? 'broken' : 'fine'
  }

  async #sendClaim(client: pg.PoolClient, room: number, hints: string[]): Promise<'fine' | 'broken'> {
    this.#lastClaim = performance.now()
    const executorId = this.#options.executorId()
    let claims: protocol.Claim[]
    try {
      claims = await protocol.claimBatches(client, executorId, room, hints, this.#isApart)
    } catch (error) {
      this.#reserved -= room
      this.#lookForWork = true
      const trouble = troubleOf(error)
      if (trouble === 'locked' && !this.#isApart) {
        // Somebody holds what a claim has met: the next one passes it by.
        this.#isApart = true
        return 'fine'
      }
      if (trouble !== 'unknown executor') {
        if (trouble !== 'retry') this.#isApart = true
        this.#options.onClaims(error)
        return this.#pause(error)
      }
      // Another lane may have done it since this claim was sent.
      return executorId === this.#options.executorId() ? await this.#registerAnew() : 'fine'
    }
    this.#troubles = 0
    this.#isApart = false
    this.#hints.answered(claims.length)
    this.#options.onClaims(undefined)
    this.#reserved -= room
    const wasIdle = !this.#plenty
    this.#plenty = claims.length >= room / 2
    // One hinted organization has had all the room; of several, one may have more than its share.
    if (this.#plenty || (hints.length > 1 && claims.length > 0)) this.lookForWork()
    else if (!wasIdle || (claims.length > 0 && hints.length === 0)) this.#looks.recheck()
    for (const claim of claims) this.#held.add(this.#options.onClaim(claim))
    return 'fine'
  }

  async #registerAnew(): Promise<'fine' | 'broken'> {
    this.#options.logger.warn('the database does not know this executor: registering anew')
    try {
      await this.#options.onUnknown()
      return 'fine'
    } catch (error) {
      return this.#pause(error)
    }
  }

  #gone(run: Run, how: Parameters<ExchangeOptions['onGone']>[1]): void {
    if (this.#held.delete(run)) this.#options.onGone(run, how)
  }

  /** Waits a little, longer each time, then everything is sent again. */
  #pause(error: unknown): 'broken' {
    this.#troubles++
    const pause = Math.min(LONGEST_PAUSE_MS, 50 * 2 ** Math.min(this.#troubles, 10)) * (0.5 + Math.random() / 2)
    this.#pauseUntil = performance.now() + pause
    this.#options.logger.warn({ err: error, pauseMs: Math.round(pause) }, 'the database did not answer: everything is kept and sent again')
    // A timer may fire a little early.
    this.#after(pause + 5)
    return 'broken'
  }
}

/** How many places of runs come free with these. */
function endsOf(items: readonly Item[]): number {
  return items.filter(({ outcome }) => outcome !== undefined).length
}
