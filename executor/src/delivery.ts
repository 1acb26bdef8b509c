// Delivers a group of items to the database and makes sense of its answers: what has arrived, what was refused because its
// lease is lost, and what has to be said again.
import type pg from 'pg'
import { troubleOf } from './database-errors.js'
import { PermanentError } from './errors.js'
import { tellFailure } from './failure-log.js'
import type { Logger } from './logger.js'
import type { Item, Outbox } from './outbox.js'
import * as protocol from './protocol.js'
import type { Run } from './run.js'
import { type Describe, failedBy } from './thrown.js'

/** How a run leaves the executor, once the database has said so. */
export type Gone = 'completed' | 'retry_pending' | 'failed' | 'waiting' | 'released' | 'parked'

export interface DeliveryOptions {
  outbox: Outbox
  logger: Logger
  executorId: () => string
  /** The text of an error, as it may be kept. */
  describe: Describe
  /** The end of a run has arrived. */
  onGone: (run: Run, how: Gone) => void
  /** The lease of a run is lost. */
  onLost: (run: Run) => void
  /** Items were put back that can be sent again after so many milliseconds. */
  onHindered: (pauseMs: number) => void
}

export interface Delivered {
  /** Errors of calls that failed as a whole; their items have gone back to the outbox. */
  refusals: unknown[]
  /** After how many milliseconds attempts that failed are tried again, and executions that wait go on. */
  laterMs: number[]
}

export class Delivery {
  readonly #options: DeliveryOptions

  constructor(options: DeliveryOptions) {
    this.#options = options
  }

  /** Sends the items, all at once on the pipelined connection, and settles each in the outbox. Never rejects. */
  async send(client: pg.PoolClient, items: readonly Item[]): Promise<Delivered> {
    const executorId = this.#options.executorId()
    const told = items.filter(({ checkpoints, outcome }) => checkpoints.length > 0 || outcome?.kind === 'completed')
    const reports = told.some(isHuge) ? await this.#withinLimits(client, told) : told
    // What ends without success waits until its checkpoints have arrived: alone it would lose them if they are refused.
    const failures = items.filter(({ checkpoints, outcome }) => checkpoints.length === 0 && outcome?.kind === 'failed')
    const releases = items.filter(({ checkpoints, outcome }) => checkpoints.length === 0 && (outcome?.kind === 'stopped' || outcome?.kind === 'deferred'))
    const suspensions = items.filter(({ checkpoints, outcome }) => checkpoints.length === 0 && outcome?.kind === 'waiting')
    const misfits = items.filter(({ checkpoints, outcome }) => checkpoints.length === 0 && outcome?.kind === 'changed')
    const nothings = items.filter(({ checkpoints, outcome }) => checkpoints.length === 0 && outcome === undefined)
    const [reported, failed, released, suspended, parked] = await Promise.allSettled([
      reports.length > 0 ? protocol.report(client, executorId, reports.map(toReport)) : new Set<number>(),
      failures.length > 0 ? protocol.reportFailures(client, executorId, failures.flatMap(toFailure)) : [],
      releases.length > 0 ? protocol.release(client, executorId, releases.map(toRelease)) : new Set<number>(),
      suspensions.length > 0 ? protocol.suspend(client, executorId, suspensions.flatMap(toSuspension)) : [],
      misfits.length > 0 ? protocol.park(client, executorId, misfits.flatMap(toParking)) : [],
    ])

    for (const item of nothings) this.#options.outbox.arrived(item)
    if (reported.status === 'rejected') this.#refusedReports(reports, reported.reason)
    else for (const [index, item] of reports.entries()) this.#reported(item, reported.value.has(index))

    if (failed.status === 'rejected') this.#refusedEnds(failures, failed.reason)
    else for (const [index, item] of failures.entries()) this.#failed(item, failed.value[index])

    if (released.status === 'rejected') this.#refusedEnds(releases, released.reason)
    else for (const [index, item] of releases.entries()) this.#ended(item, released.value.has(index) ? 'fenced' : 'released')

    if (suspended.status === 'rejected') this.#refusedReports(suspensions, suspended.reason)
    else for (const [index, item] of suspensions.entries()) this.#ended(item, suspended.value[index]?.outcome ?? 'fenced')

    if (parked.status === 'rejected') this.#refusedEnds(misfits, parked.reason)
    else for (const [index, item] of misfits.entries()) this.#ended(item, parked.value[index]?.outcome ?? 'fenced')

    const retries = failed.status === 'rejected' ? [] : failed.value.flatMap(({ retryInMs }) => retryInMs ?? [])
    const wakes = suspended.status === 'rejected' ? [] : suspended.value.flatMap(({ wakeInMs }) => wakeInMs ?? [])
    const parkings = parked.status === 'rejected' ? [] : parked.value.flatMap(({ retryInMs }) => retryInMs ?? [])
    const deferrals = releases.flatMap(({ outcome }) => (outcome?.kind === 'deferred' ? outcome.delayMs : []))
    return {
      refusals: [reported, failed, released, suspended, parked].flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as unknown] : [])),
      laterMs: [...retries, ...wakes, ...parkings, ...deferrals],
    }
  }

  /** What would be refused for its size alone need not be sent; the database says so in the words of the refusal. */
  async #withinLimits(client: pg.PoolClient, items: readonly Item[]): Promise<Item[]> {
    const within: Item[] = []
    for (const item of items) {
      try {
        if (isHuge(item)) await refuseHuge(client, item)
        within.push(item)
      } catch (error) {
        if (troubleOf(error) === 'data') this.#blame(item, toError(error))
        else within.push(item)
      }
    }
    return within
  }

  #reported(item: Item, isFenced: boolean): void {
    item.checkpoints = []
    if (isFenced) this.#ended(item, 'fenced')
    else if (item.outcome === undefined) this.#options.outbox.arrived(item)
    else if (item.outcome.kind === 'completed') this.#ended(item, 'completed')
    else this.#options.outbox.putBack(item, false)
  }

  #failed(item: Item, answer: protocol.FailureOutcome = { outcome: 'fenced', retryInMs: null }): void {
    if (answer.outcome !== 'fenced' && item.outcome?.kind === 'failed') tellFailure(this.#options.logger, item.run.claim, item.outcome, answer)
    this.#ended(item, answer.outcome)
  }

  #ended(item: Item, how: Gone | 'fenced'): void {
    const { outbox, onGone, onLost } = this.#options
    if (how === 'fenced') {
      // Those who wait are told when the run is lost; the item itself is not sent again.
      outbox.putBack(item, false)
      onLost(item.run)
    } else {
      outbox.arrived(item)
      onGone(item.run, how)
    }
  }

  /** Reports that failed as a whole: again, or each alone to find the one whose data the database does not take. */
  #refusedReports(items: readonly Item[], reason: unknown): void {
    const trouble = troubleOf(reason)
    if (trouble === 'locked') {
      this.#hindered(items)
      return
    }
    const isData = trouble === 'data'
    const [first] = items
    if (isData && items.length === 1 && first !== undefined) this.#blame(first, toError(reason))
    else for (const item of items) this.#options.outbox.putBack(item, isData || trouble === 'too much')
  }

  /** Somebody holds a lock for long: one by one the items show whose it is, and that organization keeps away from the others for a while. */
  #hindered(items: readonly Item[]): void {
    const { outbox, onHindered } = this.#options
    const [first, ...others] = new Set(items.map(({ run }) => run.claim.organizationId))
    if (first !== undefined && others.length === 0) onHindered(outbox.hindered(first))
    for (const item of items) outbox.putBack(item, others.length > 0)
  }

  /** The database does not take what this run says: the run fails for good, its neighbours go through. */
  #blame(item: Item, cause: Error): void {
    const error = new PermanentError(`the database did not take the result: ${cause.message}`, { category: 'VALIDATION', cause })
    const instead = failedBy(error, this.#options.describe)
    item.run.fail(error)
    if (item.outcome === undefined) {
      this.#options.outbox.refused(item, error, instead)
      return
    }
    // When the output was to blame, the steps can still be kept.
    if (item.outcome.kind !== 'completed') item.checkpoints = []
    item.outcome = instead
    this.#options.outbox.putBack(item, true)
  }

  /** Failures or releases that failed as a whole: again, or each alone; one that is never taken is left to its lease. */
  #refusedEnds(items: readonly Item[], reason: unknown): void {
    const trouble = troubleOf(reason)
    if (trouble === 'locked') {
      this.#hindered(items)
      return
    }
    const isData = trouble === 'data'
    for (const item of items) this.#options.outbox.putBack(item, isData || trouble === 'too much')
    const [first] = items
    if (!isData || items.length > 1 || first === undefined) return
    const { executionId } = first.run.claim
    this.#options.logger.error({ err: toError(reason), executionId }, 'the database does not take how an execution ended: it is left to its lease')
    this.#options.onLost(first.run)
  }
}

/** Characters of an output, or of a result, from which on the limits are looked at before it is sent. */
const HUGE = 1_000_000

function isHuge({ checkpoints, outcome }: Item): boolean {
  return (outcome?.kind === 'completed' && (outcome.output?.length ?? 0) > HUGE) || checkpoints.some(({ output }) => (output?.length ?? 0) > HUGE)
}

async function refuseHuge(client: pg.PoolClient, { run, checkpoints, outcome }: Item): Promise<void> {
  for (const { name, output } of checkpoints) {
    if ((output?.length ?? 0) > HUGE) await protocol.checkLimit(client, 'result_limit', `the result of step '${name}'`, output?.length ?? 0)
  }
  if (outcome?.kind !== 'completed' || (outcome.output?.length ?? 0) <= HUGE) return
  await protocol.checkLimit(client, 'output_limit', `the output of execution ${run.claim.executionId}`, outcome.output?.length ?? 0)
}

function toReport({ run, checkpoints, outcome }: Item): protocol.Report {
  const { executionId, batchId } = run.claim
  return outcome?.kind === 'completed'
    ? { executionId, batchId, checkpoints, isDone: true, output: outcome.output }
    : { executionId, batchId, checkpoints, isDone: false, output: undefined }
}

function toFailure({ run, outcome }: Item): protocol.Failure[] {
  if (outcome?.kind !== 'failed') return []
  const { executionId, batchId } = run.claim
  const { error, category, permanent, step, stack } = outcome
  return [{ executionId, batchId, error, category, permanent, ...(step === undefined ? {} : { step }), ...(stack === undefined ? {} : { stack }) }]
}

function toRelease({ run, outcome }: Item): { executionId: string; batchId: string; delayMs?: number } {
  const { executionId, batchId } = run.claim
  return outcome?.kind === 'deferred' ? { executionId, batchId, delayMs: outcome.delayMs } : { executionId, batchId }
}

function toSuspension({ run, outcome }: Item): protocol.Suspension[] {
  if (outcome?.kind !== 'waiting') return []
  const { executionId, batchId } = run.claim
  return [{ executionId, batchId, waits: outcome.waits }]
}

function toParking({ run, outcome }: Item): protocol.Parking[] {
  if (outcome?.kind !== 'changed') return []
  const { executionId, batchId } = run.claim
  return [{ executionId, batchId, recorded: outcome.recorded, asked: outcome.asked, reason: outcome.reason }]
}

function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error('unknown error', { cause: thrown })
}
