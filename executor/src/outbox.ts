// What runs have to say to the database and have not said yet: a place for each run, sent in groups by the exchange.
//
// A run has at most one place, and it is not sent again while it is on its way, so what a run says arrives in order.
// A checkpoint alone is not urgent: it waits a moment, because the completion that usually follows takes it along.
//
// What could keep others waiting goes apart from them, one organization at a time: what is large, and what belongs to an organization
// whose rows were found to be locked by somebody. The latter is tried again after a while, which doubles.
import type { WorkerError } from './errors.js'
import type { Checkpoint } from './protocol.js'
import type { Outcome } from './outcome.js'
import type { Run } from './run.js'

export interface Item {
  readonly run: Run
  /** Taken from the run when the item is sent. */
  checkpoints: Checkpoint[]
  outcome?: Exclude<Outcome, { kind: 'lost' }>
  /** Those who wait for the checkpoints to be durable. */
  waiters: { resolve: () => void; reject: (error: Error) => void }[]
  /** When it may be sent, by performance.now(); 0 is at once. */
  notBefore: number
  /** Sent in a call of its own, because a call that it was part of failed for its data. */
  alone: boolean
}

/** How long a checkpoint waits for company, in milliseconds. */
export const PATIENCE_MS = 25

/** Characters after which a group is full; a single item may be larger. */
const FULL = 4_000_000

/** Characters from which on an item goes apart. */
const LARGE = 250_000
/** What one of the waits that an execution begins counts for: it may make a child. */
const A_WAIT = 1000

/** How long an organization goes apart after a call of it has waited for a lock in vain, and how long it pauses before it is tried again. */
const APART_MS = 10_000
const SHORTEST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 5000

interface Hindered {
  pauseMs: number
  /** Both by performance.now(). */
  notBefore: number
  until: number
}

export class Outbox {
  readonly #hindered = new Map<string, Hindered>()
  readonly #items = new Map<Run, Item>()
  readonly #sent = new Map<Run, Item>()
  /** Runs that lost their lease. */
  readonly #dropped = new WeakSet<Run>()

  get size(): number {
    return this.#items.size
  }

  /** A run has a checkpoint that need not be hurried. Returns whether this gave it a place. */
  note(run: Run): boolean {
    if (this.#items.has(run) || this.#dropped.has(run)) return false
    this.#place(run).notBefore = performance.now() + PATIENCE_MS
    return true
  }

  /** Whether something that the run said is not durable yet, be it waiting or on its way. */
  holds(run: Run): boolean {
    return this.#items.has(run) || this.#sent.has(run)
  }

  /** Resolves when everything that the run has said is durable. */
  wait(run: Run): Promise<void> {
    const item = this.#items.get(run) ?? this.#sent.get(run)
    if (item === undefined) return Promise.resolve()
    item.notBefore = 0
    return new Promise((resolve, reject) => {
      item.waiters.push({ resolve, reject })
    })
  }

  /** How the run ended. What was said first stands: a run that has completed cannot be handed back. */
  end(run: Run, outcome: Exclude<Outcome, { kind: 'lost' }>): void {
    if (this.#dropped.has(run) || this.#sent.get(run)?.outcome !== undefined) return
    const item = this.#place(run)
    item.notBefore = 0
    item.outcome ??= outcome
  }

  /** The run lost its lease, or its execution was ended: nothing of it is said any more. */
  drop(run: Run, error: WorkerError): void {
    this.#dropped.add(run)
    for (const { reject } of this.#items.get(run)?.waiters ?? []) reject(error)
    for (const { reject } of this.#sent.get(run)?.waiters ?? []) reject(error)
    this.#items.delete(run)
  }

  /** Takes up to `limit` items that may be sent now; an item that goes alone comes alone. */
  take(limit: number): Item[] {
    const now = performance.now()
    const taken: Item[] = []
    let size = 0
    for (const item of this.#items.values()) {
      if (item.notBefore > now || this.#sent.has(item.run) || (item.alone && taken.length > 0) || this.#goesApart(item, now)) continue
      taken.push(this.#send(item))
      size += sizeOf(item)
      if (item.alone || taken.length >= limit || size >= FULL) break
    }
    return taken
  }

  /** The same of what goes apart: items of one organization. */
  takeApart(limit: number): Item[] {
    const now = performance.now()
    const taken: Item[] = []
    let size = 0
    for (const item of this.#items.values()) {
      const { organizationId } = item.run.claim
      if (item.notBefore > now || this.#sent.has(item.run) || (this.#hindered.get(organizationId)?.notBefore ?? 0) > now) continue
      if ((taken[0]?.run.claim.organizationId ?? organizationId) !== organizationId || (item.alone && taken.length > 0)) continue
      if (!this.#goesApart(item, now)) continue
      taken.push(this.#send(item))
      size += sizeOf(item)
      if (item.alone || taken.length >= limit || size >= FULL) break
    }
    return taken
  }

  #send(item: Item): Item {
    this.#items.delete(item.run)
    this.#sent.set(item.run, item)
    item.checkpoints = item.checkpoints.concat(item.run.pending)
    item.run.pending = []
    return item
  }

  #goesApart(item: Item, now: number): boolean {
    if (this.#hindered.size > 0 && (this.#hindered.get(item.run.claim.organizationId)?.until ?? 0) > now) return true
    return sizeOf(item) + sizeOfAll(item.run.pending) > LARGE
  }

  /** A call with items of this organization alone has waited for a lock in vain. Returns after how many milliseconds it is tried again. */
  hindered(organizationId: string): number {
    const now = performance.now()
    const before = this.#hindered.get(organizationId)?.pauseMs ?? 0
    const pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, before * 2))
    this.#hindered.set(organizationId, { pauseMs, notBefore: now + pauseMs, until: now + pauseMs + APART_MS })
    return pauseMs
  }

  #unhindered(organizationId: string): void {
    const hindered = this.#hindered.get(organizationId)
    if (hindered === undefined) return
    hindered.pauseMs = 0
    hindered.notBefore = 0
    if (hindered.until <= performance.now()) this.#hindered.delete(organizationId)
  }

  /** The item has arrived; its run may be sent again. */
  arrived(item: Item): void {
    this.#sent.delete(item.run)
    if (this.#hindered.size > 0) this.#unhindered(item.run.claim.organizationId)
    for (const { resolve } of item.waiters) resolve()
  }

  /** The item will never be accepted: those who wait are told why, and a success that the run has said since becomes a failure. */
  refused(item: Item, error: Error, instead: Exclude<Outcome, { kind: 'lost' }>): void {
    this.#sent.delete(item.run)
    for (const { reject } of item.waiters) reject(error)
    const newer = this.#items.get(item.run)
    if (newer?.outcome?.kind === 'completed') newer.outcome = instead
  }

  /** The item was not accepted: it goes back, together with what its run has said since. */
  putBack(item: Item, alone: boolean): void {
    this.#sent.delete(item.run)
    if (this.#dropped.has(item.run)) return
    const newer = this.#items.get(item.run)
    const merged: Item = { ...item, alone, notBefore: 0 }
    if (newer !== undefined) {
      merged.waiters = item.waiters.concat(newer.waiters)
      const outcome = item.outcome ?? newer.outcome
      if (outcome !== undefined) merged.outcome = outcome
    }
    this.#items.set(item.run, merged)
  }

  #place(run: Run): Item {
    let item = this.#items.get(run)
    if (item === undefined) {
      item = { run, checkpoints: [], waiters: [], notBefore: 0, alone: false }
      this.#items.set(run, item)
    }
    return item
  }
}

function sizeOf({ checkpoints, outcome }: Item): number {
  let end = 0
  if (outcome?.kind === 'completed') end = outcome.output?.length ?? 0
  else if (outcome?.kind === 'failed') end = outcome.error.length + (outcome.stack?.length ?? 0)
  else if (outcome?.kind === 'waiting') end = outcome.waits.length * A_WAIT
  return sizeOfAll(checkpoints) + end
}

function sizeOfAll(checkpoints: readonly Checkpoint[]): number {
  let size = 0
  for (const { output: result, error } of checkpoints) size += (result?.length ?? 0) + (error?.length ?? 0)
  return size
}
