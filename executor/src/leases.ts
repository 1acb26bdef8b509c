// Keeps the leases of the batches that this executor works on: extends them while work runs, and stops the runs of a batch
// whose lease is lost, be it that the database says so or that it could not be asked in time.
import { troubleOf } from './database-errors.js'
import type { Logger } from './logger.js'
import { type Ended, endedExecutions, extendLeases, type Queryable } from './protocol.js'
import type { Run } from './run.js'

interface Lease {
  readonly runs: Set<Run>
  readonly leaseMs: number
  /** By performance.now(), at the latest: counted from before the call that granted it. */
  expiresAt: number
}

export interface LeasesOptions {
  sql: Queryable
  logger: Logger
  executorId: () => string
  onLost: (run: Run) => void
  onEnded: (ended: Ended) => void
}

const CHECK_MS = 1000
/** A timer that is so much late did not wait its turn: something ran all the time. */
const BLOCKED_MS = 1000
/** How often the database hears that the executor lives, also while it claims nothing. */
const HEARTBEAT_MS = 10_000

export class Leases {
  readonly #options: LeasesOptions
  readonly #leases = new Map<string, Lease>()
  #timer: NodeJS.Timeout | undefined
  #extending: Promise<void> | undefined
  #lastCall = performance.now()
  #lastCheck = Infinity

  constructor(options: LeasesOptions) {
    this.#options = options
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#check()
    }, CHECK_MS)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#extending
  }

  /** @param grantedAt performance.now() before the claim was sent */
  add(run: Run, grantedAt: number): void {
    const { batchId, leaseMs } = run.claim
    let lease = this.#leases.get(batchId)
    if (lease === undefined) {
      lease = { runs: new Set(), leaseMs, expiresAt: grantedAt + leaseMs }
      this.#leases.set(batchId, lease)
    }
    lease.runs.add(run)
  }

  remove(run: Run): void {
    const lease = this.#leases.get(run.claim.batchId)
    if (lease?.runs.delete(run) === true && lease.runs.size === 0) this.#leases.delete(run.claim.batchId)
  }

  #check(): void {
    const now = performance.now()
    if (now - this.#lastCheck > CHECK_MS + BLOCKED_MS) {
      const blockedMs = Math.round(now - this.#lastCheck - CHECK_MS)
      this.#options.logger.warn({ blockedMs }, 'the event loop was blocked: leases run out when that takes too long; move heavy work to a worker thread')
    }
    this.#lastCheck = now
    for (const [batchId, { runs, expiresAt }] of this.#leases) {
      if (expiresAt <= now) this.#lose(batchId, runs)
    }
    // With two thirds left there is time for several tries.
    const due = [...this.#leases].filter(([, { leaseMs, expiresAt }]) => expiresAt - now < (leaseMs * 2) / 3)
    if ((due.length === 0 && now - this.#lastCall < HEARTBEAT_MS) || this.#extending !== undefined) return
    this.#lastCall = now
    this.#extending = this.#extend(due, now).finally(() => {
      this.#extending = undefined
    })
  }

  async #extend(due: [string, Lease][], askedAt: number): Promise<void> {
    const { sql, executorId, logger } = this.#options
    const running = due.flatMap(([, { runs }]) => [...runs])
    const claims = running.map((run) => run.claim)
    const executionIds = claims.map(({ executionId }) => executionId)
    try {
      const batchIds = due.map(([batchId]) => batchId)
      const lost = new Set(await extendLeases(sql, executorId(), running.map(whereItIs), batchIds))
      for (const [batchId, lease] of due) {
        if (!lost.has(batchId)) lease.expiresAt = askedAt + lease.leaseMs
      }
      // Before the lost ones are given up: a batch ends with its last execution that was ended from outside, and its run hears why.
      if (claims.length > 0) {
        for (const ended of await endedExecutions(sql, executionIds, claims.map(({ batchId }) => batchId))) this.#options.onEnded(ended)
      }
      for (const [batchId, lease] of due) {
        if (lost.has(batchId) && this.#leases.has(batchId)) this.#lose(batchId, lease.runs)
      }
    } catch (error) {
      const organizations = new Set(due.map(organizationOf))
      if (troubleOf(error) === 'locked' && organizations.size > 1) {
        // Somebody holds the rows of one of them.
        for (const id of organizations) await this.#extend(due.filter((each) => organizationOf(each) === id), askedAt)
        return
      }
      logger.warn({ err: error, batches: due.length }, 'leases could not be extended; trying again')
    }
  }

  #lose(batchId: string, runs: Set<Run>): void {
    this.#options.logger.warn({ batchId, executions: runs.size }, 'a lease was lost: its runs are stopped, another executor goes on')
    this.#leases.delete(batchId)
    for (const run of [...runs]) this.#options.onLost(run)
  }
}

/** An execution and the step that it is in, if it is in one. */
function whereItIs(run: Run): { executionId: string; step?: string; milliseconds?: number } {
  const { executionId } = run.claim
  const { current } = run.replay.activity
  return current === undefined ? { executionId } : { executionId, step: current.step, milliseconds: Math.round(performance.now() - current.startedAt) }
}

function organizationOf([, { runs }]: [string, Lease]): string | undefined {
  for (const { claim } of runs) return claim.organizationId
  return undefined
}
