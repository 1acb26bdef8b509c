// What several cases need: quiet before a measurement, the end of a drain, quantiles.
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Session } from '../systems/system.ts'

const POLL_MS = 2
/** Without a word from the worker for so long, the database is asked. */
const SILENCE_MS = 5000

/** One statement after the other on a connection of its own. */
export async function inDatabase<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  // A lost connection fails the query that meets it.
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

/** Leaves nothing to autovacuum or a checkpoint that filling the database has brought about. */
export async function settle(url: string): Promise<void> {
  await inDatabase(url, async (client) => {
    await client.query('vacuum analyze')
    await client.query('checkpoint')
  })
}

/** Counts the executions that are over; the database is not asked while work is going on. */
export class Countdown {
  readonly #count: number
  readonly #reached = Promise.withResolvers<undefined>()
  #over = 0

  constructor(count: number) {
    this.#count = count
    if (count === 0) this.#reached.resolve(undefined)
  }

  readonly finished = (): void => {
    this.add(1)
  }

  /** Resolves when so many have been counted. */
  get reached(): Promise<undefined> {
    return this.#reached.promise
  }

  add(over: number): void {
    this.#over += over
    if (this.#over >= this.#count) this.#reached.resolve(undefined)
  }

  /**
   * Waits until all are over and the database says so. Returns the time (performance.now) at which the database was asked
   * the question that it answered with none: at that moment everything was durably finished, give or take the round trip.
   */
  async end(session: Pick<Session, 'unfinished'>): Promise<number> {
    for (let before = -1; before !== this.#over && this.#over < this.#count; ) {
      before = this.#over
      await Promise.race([this.#reached.promise, sleep(SILENCE_MS, undefined, { ref: false })])
    }
    for (;;) {
      const asked = performance.now()
      if ((await session.unfinished()) === 0) return asked
      await sleep(POLL_MS)
    }
  }
}

/** @param share 0 to 1 */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low, high] = sorted.length % 2 === 0 ? [sorted[middle - 1], sorted[middle]] : [sorted[middle], sorted[middle]]
  return ((low ?? Number.NaN) + (high ?? Number.NaN)) / 2
}
