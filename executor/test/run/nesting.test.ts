import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import type { Context } from '../../src/context.js'
import { type Workflow, workflow } from '../../src/workflow.js'
import { deadLetterOf, executorDatabase, stepNames, untilStatus } from '../support/executor.js'
import { execution } from '../support/sql.js'

// Where Node does not carry a context along by itself, this is what finds a nested step after an await.
vi.hoisted(() => {
  process.env['FW_FIND_NESTED_STEPS'] = '1'
})

const database = executorDatabase()
let made = 0
const named = <Output>(run: (ctx: Context) => Output | Promise<Output>) =>
  workflow({ name: `nesting ${++made}`, input: z.object({}), retry: { backoff: { initial: 1, max: 1 } } }, run)

async function enqueued(started: Workflow<Record<string, never>>, others: Workflow[] = []): Promise<string> {
  const organizationId = await database.organization()
  await database.start([started, ...others])
  return await database.client.enqueue(started, {}, { organizationId })
}

const leaf = workflow({ name: 'leaf', input: z.object({}) }, () => 1)

describe('within a step that has awaited something, an error names both for', () => {
  test.each<[string, string, (ctx: Context) => unknown]>([
    ['a step', 'inner', (ctx) => ctx.step('inner', () => 1)],
    ['a transaction', 'inner', (ctx) => ctx.transaction('inner', ({ query }) => query('select 1'))],
    ['a sleep', 'sleep', (ctx) => ctx.sleep('1h')],
    ['an event', 'event paid', (ctx) => ctx.waitForEvent('paid')],
    ['a child', 'leaf', (ctx) => ctx.invoke(leaf, {})],
    ['a map', 'each', (ctx) => ctx.map([1, 2], (item) => item, { name: 'each' })],
    ['the time', 'now', (ctx) => ctx.now().getTime()],
    ['a random number', 'random', (ctx) => ctx.random()],
    ['a uuid', 'uuid', (ctx) => ctx.uuid()],
  ])('%s', async (_, inner, start) => {
    const nested = named((ctx) => ctx.step('outer', async () => {
      await sleep(5)
      return await start(ctx)
    }))
    const id = await enqueued(nested, [leaf])
    await untilStatus(database, id, 'failed')
    expect(await deadLetterOf(database, id)).toMatchObject({
      attempt: 1,
      error: expect.stringContaining(`step '${inner}' was started within step 'outer'`) as unknown,
    })
    expect(await stepNames(database, id)).toEqual([])
  })
})

describe('a step is within', () => {
  test.each<[string, string, (ctx: Context) => Promise<unknown>]>([
    ['the item of a map whose function starts it', 'each[1]', (ctx) => ctx.map([0, 1, 2], async (item) => {
      await sleep(5)
      return item === 1 ? await ctx.step('inner', () => item) : item
    }, { name: 'each' })],
    ['a transaction', 'pay', (ctx) => ctx.transaction('pay', async ({ query }) => {
      await query('select 1')
      return await ctx.step('inner', () => 1)
    })],
    ['a step with options', 'tried', (ctx) => ctx.step('tried', async () => {
      await sleep(5)
      return await ctx.step('inner', () => 1)
    }, { retry: { maxAttempts: 3, backoff: { initial: 1 } }, timeout: '1m' })],
    ['one of several that run side by side', 'second', (ctx) => Promise.all(['first', 'second'].map((name) => ctx.step(name, async () => {
      await sleep(5)
      return name === 'second' ? await ctx.step('inner', () => 1) : 1
    })))],
    ['a step whose helper starts it from a timer', 'outer', (ctx) => ctx.step('outer', () => new Promise((resolve, reject) => {
      setTimeout(() => {
        ctx.step('inner', () => 1).then(resolve, reject)
      }, 5)
    }))],
  ])('%s', async (_, outer, run) => {
    const id = await enqueued(named(run))
    await untilStatus(database, id, 'failed')
    expect(await deadLetterOf(database, id)).toMatchObject({
      attempt: 1,
      error: expect.stringContaining(`step 'inner' was started within step '${outer}'`) as unknown,
    })
  })
})

describe('not within one another are', () => {
  test('steps that run side by side, each awaiting something, and steps that follow them', async () => {
    const parallel = named(async (ctx) => {
      const lane = async (name: string) => {
        const first = await ctx.step(`${name} 1`, () => sleep(5, 1))
        await sleep(1)
        return first + (await ctx.step(`${name} 2`, () => sleep(5, 2)))
      }
      return [await Promise.all(['a', 'b', 'c'].map(lane)), await ctx.step('last', async () => sleep(1, 'last'))]
    })
    expect(await database.client.result(await enqueued(parallel))).toEqual([[3, 3, 3], 'last'])
  })

  test('steps that follow each other, be it by await or by then', async () => {
    const following = named(async (ctx) => {
      const a = await ctx.step('a', () => sleep(1, 1))
      const b = await ctx.step('b', async () => sleep(1, a + 1))
      const d = await ctx.step('c', () => sleep(1, b + 1)).then((c) => ctx.step('d', async () => sleep(1, c + 1)))
      return await ctx.transaction('e', async () => sleep(1, d + 1)).then((e) => ctx.step('f', () => e + 1))
    })
    const id = await enqueued(following)
    expect(await database.client.result(id)).toBe(6)
    expect(await stepNames(database, id)).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
  })

  test('the items of a map, more of them than run at a time', async () => {
    const mapped = named(async (ctx) => ctx.map([1, 2, 3, 4, 5, 6, 7], async (item) => sleep(item % 3, item * 2), { concurrency: 2 }))
    expect(await database.client.result(await enqueued(mapped))).toEqual([2, 4, 6, 8, 10, 12, 14])
  })

  test('steps that a handler starts when a step tells it to go on', async () => {
    const telling = named(async (ctx) => {
      let tell: (value: number) => void = () => undefined
      const told = new Promise<number>((resolve) => (tell = resolve))
      const first = ctx.step('first', async () => {
        await sleep(1)
        tell(1)
        await sleep(20)
        return 1
      })
      const value = await told
      return [await ctx.step('second', () => value + 1), await first]
    })
    expect(await database.client.result(await enqueued(telling))).toEqual([2, 1])
  })

  test('a step, and one that something which the former left behind starts after it', async () => {
    const leaving = named(async (ctx) => {
      let later: Promise<number> | undefined
      await ctx.step('opens', async () => {
        await sleep(1)
        later = sleep(50).then(() => ctx.step('later', () => 2))
      })
      return await later
    })
    expect(await database.client.result(await enqueued(leaving))).toBe(2)
  })

  test('steps of different executions that run at the same time', async () => {
    const organizationId = await database.organization()
    const slow = named((ctx) => ctx.step('a', async () => sleep(5, 1)).then(() => ctx.step('b', async () => sleep(5, 2))))
    await database.start(slow)
    const ids = await database.client.enqueueMany(slow, Array.from({ length: 20 }, () => ({})), { organizationId })
    for (const id of ids) expect(await database.client.result(id)).toBe(2)
  })
})

test('a compensation starts no step', async () => {
  const undoing = named(async (ctx) => {
    await ctx.step('done', () => 1, { compensate: async () => { await sleep(1); await ctx.step('inner', () => 1) }, compensateOptions: { retry: { maxAttempts: 1 } } })
    await ctx.step('fails', () => { throw new TypeError('no') }, {})
  })
  const id = await enqueued(undoing)
  await untilStatus(database, id, 'failed')
  expect(String((await deadLetterOf(database, id))['error'])).toContain("the compensation of 'done' failed: step 'inner' was started while the execution is undone")
  expect(await stepNames(database, id)).not.toContain('inner')
  expect(await execution(database, id)).toMatchObject({ status: 'failed' })
})
