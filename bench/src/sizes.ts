// How much of each case is run: in full, quickly, or just to see that it works.
import type { SystemName } from './systems/system.ts'

export type Mode = 'full' | 'quick' | 'smoke'

export interface Sizes {
  /** Of a task; longer is a failure. */
  readonly limitSeconds: number
  /** Who is in the rows that no limit hangs on. */
  readonly everywhere: 'all' | 'compared' | 'ours'
  readonly repetitions: number
  /** For ratios whose limit is close to 1, where chance matters most. */
  readonly close: number
  /** For rows that no ratio is made of. */
  readonly seldom: number
  /** As many for all that are alike in speed, so that a worker's start weighs the same. */
  readonly drain: Readonly<Record<SystemName, number>>
  /** Shorter and longer drains beside graphile-worker's, as far as its start and ours differ. */
  readonly lengths: readonly number[]
  readonly own: { readonly three: number; readonly ten: number; readonly defaults: number }
  readonly backlogs: readonly { readonly count: number; readonly rounds: number }[]
  readonly organizations: readonly number[]
  readonly spread: number
  /** Drained in each round, in each of the databases that are compared. */
  readonly beside: { readonly count: number; readonly rounds: number }
  readonly sleeping: number
  /** Of those that wait in a sleep, and again of those that wait for an event. */
  readonly suspended: number
  readonly finished: number
  readonly xmin: Readonly<Partial<Record<SystemName, number>>>
  readonly samples: { readonly ours: number; readonly others: number; readonly warmUp: number }
  readonly loadSeconds: number
  readonly enqueues: number
  readonly enqueuesSlow: number
  readonly batches: number
  readonly batchesSlow: number
  readonly idleSeconds: number
  readonly bystander: number
  readonly bystanderAlone: number
  readonly executors: number
  /** `share`: how much of what the neighbour does, 0 to 1. */
  readonly neighbour: { readonly rounds: number; readonly seconds: number; readonly share: number }
}

const OURS: SystemName = 'durable-execution-worker'

const full: Sizes = {
  limitSeconds: 240,
  everywhere: 'all',
  repetitions: 3,
  close: 5,
  seldom: 1,
  drain: { [OURS]: 100_000, 'graphile-worker': 100_000, 'pg-boss': 100_000, pgmq: 100_000, dbos: 3000, absurd: 3000 },
  lengths: [20_000, 300_000],
  own: { three: 60_000, ten: 20_000, defaults: 20_000 },
  backlogs: [{ count: 5000, rounds: 10 }, { count: 50_000, rounds: 2 }, { count: 500_000, rounds: 1 }],
  organizations: [1, 100, 1000, 10_000],
  spread: 100_000,
  beside: { count: 30_000, rounds: 15 },
  sleeping: 200_000,
  suspended: 100_000,
  finished: 1_000_000,
  xmin: { [OURS]: 200_000, 'graphile-worker': 40_000, 'pg-boss': 30_000, pgmq: 40_000 },
  samples: { ours: 1000, others: 200, warmUp: 100 },
  loadSeconds: 5,
  enqueues: 1500,
  enqueuesSlow: 300,
  batches: 100_000,
  batchesSlow: 4000,
  idleSeconds: 12,
  bystander: 200_000,
  bystanderAlone: 5,
  executors: 100_000,
  neighbour: { rounds: 2, seconds: 0.8, share: 1 },
}

const quick: Sizes = {
  limitSeconds: 100,
  everywhere: 'compared',
  repetitions: 2,
  close: 3,
  seldom: 1,
  drain: { [OURS]: 60_000, 'graphile-worker': 60_000, 'pg-boss': 60_000, pgmq: 60_000, dbos: 1000, absurd: 1000 },
  lengths: [],
  own: { three: 30_000, ten: 6000, defaults: 6000 },
  backlogs: [{ count: 5000, rounds: 4 }, { count: 150_000, rounds: 1 }],
  organizations: [1, 1000, 10_000],
  spread: 40_000,
  beside: { count: 20_000, rounds: 7 },
  sleeping: 50_000,
  suspended: 25_000,
  finished: 100_000,
  xmin: { [OURS]: 50_000 },
  samples: { ours: 200, others: 60, warmUp: 50 },
  loadSeconds: 2,
  enqueues: 200,
  enqueuesSlow: 50,
  batches: 30_000,
  batchesSlow: 2000,
  idleSeconds: 5,
  bystander: 60_000,
  bystanderAlone: 2,
  executors: 100_000,
  neighbour: { rounds: 1, seconds: 1, share: 0.3 },
}

const smoke: Sizes = {
  limitSeconds: 60,
  everywhere: 'ours',
  repetitions: 1,
  close: 1,
  seldom: 1,
  drain: { [OURS]: 1000, 'graphile-worker': 1000, 'pg-boss': 1000, pgmq: 1000, dbos: 20, absurd: 20 },
  lengths: [500],
  own: { three: 500, ten: 200, defaults: 200 },
  backlogs: [{ count: 500, rounds: 2 }, { count: 6000, rounds: 1 }],
  organizations: [1, 20],
  spread: 1000,
  beside: { count: 500, rounds: 2 },
  sleeping: 1000,
  suspended: 500,
  finished: 2000,
  xmin: { [OURS]: 1000 },
  samples: { ours: 20, others: 5, warmUp: 5 },
  loadSeconds: 0.5,
  enqueues: 20,
  enqueuesSlow: 10,
  batches: 2000,
  batchesSlow: 1000,
  idleSeconds: 0.5,
  bystander: 1000,
  bystanderAlone: 0.3,
  executors: 2000,
  neighbour: { rounds: 1, seconds: 0.1, share: 0.001 },
}

export const sizesOf: Readonly<Record<Mode, Sizes>> = { full, quick, smoke }
