// What the organization that does its worst has its executor run: handlers that keep nobody's event loop busy and hold little memory, but
// bring the database and the executor as much as the limits let in.
import { setTimeout as sleep } from 'node:timers/promises'
import { workflow } from 'durable-execution-worker'
import { z } from 'zod'

/** Of a result that is kept beside many others. */
const RESULT = 'x'.repeat(31_000)
/** Recorded together. */
const AT_ONCE = 100
const LARGE_RESULT = 'x'.repeat(4_000_000)
const TOO_LARGE = 'x'.repeat(17_000_000)
const LONG_ERROR = 'x'.repeat(10_000)
const LINGER_MS = 500
const LONGEST_MS = 30_000

const retry = { backoff: { initial: 50, max: 50 } }

/** Takes whatever it is given. */
const swallow = workflow({ name: 'swallow', input: z.unknown(), retry }, (ctx) => ctx.step('swallow', () => null))

/** Records so many results, sleeps, and needs all of them to go on. */
const hoard = workflow({ name: 'hoard', input: z.object({ results: z.number() }), retry }, async (ctx, { results }) => {
  for (let first = 0; first < results; first += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, results - first) }, () => ctx.step('keep', () => RESULT)))
  }
  await ctx.sleep(1)
})

/** Large results, one after the other. */
const haul = workflow({ name: 'haul', input: z.unknown(), retry }, async (ctx) => {
  for (let each = 0; each < 4; each++) await ctx.step('haul', () => LARGE_RESULT)
})

/** Returns what the database refuses. */
const overflow = workflow({ name: 'overflow', input: z.unknown(), retry }, () => TOO_LARGE)

const fail = workflow({ name: 'fail', input: z.unknown(), retry }, () => {
  throw new Error(LONG_ERROR)
})

/** Fails once, and is not tried again soon. */
const failLater = workflow({ name: 'fail later', input: z.unknown(), retry: { backoff: { initial: '5m' } } }, () => {
  throw new Error('not now')
})

const fan = workflow({ name: 'fan', input: z.object({ children: z.number() }), retry }, async (ctx, { children }) => {
  await ctx.map(Array.from({ length: children }, (_, place) => place), swallow, { concurrency: children })
})

const listen = workflow({ name: 'listen', input: z.object({ key: z.string() }), retry }, async (ctx, { key }) => {
  await ctx.waitForEvent(key)
})

const linger = workflow({ name: 'linger', input: z.unknown(), retry }, (ctx) =>
  ctx.step('linger', async () => {
    await sleep(LINGER_MS)
  }),
)

/** Stays where it is until it is stopped. */
const hang = workflow({ name: 'hang', input: z.unknown(), retry }, (ctx) =>
  ctx.step('hang', async ({ signal }) => {
    await sleep(LONGEST_MS, undefined, { signal, ref: false })
  }),
)

export const worstWorkflows = [swallow, hoard, haul, overflow, fail, failLater, fan, listen, linger, hang]
