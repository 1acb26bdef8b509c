import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { executorDatabase } from '../support/executor.js'
import { flow } from './scene.js'

const database = executorDatabase()

describe('a step gives the same value in the run that ran it and in every later one', () => {
  test('with the keys of an object in one order, which steers the steps after it', async () => {
    const organizationId = await database.organization()
    let failures = 0
    const shipped: string[] = []
    const shipping = flow('ship parts', async (ctx) => {
      const parts = await ctx.step('load', () => ({ zebra: 1, ant: 2 }))
      for (const name of Object.keys(parts)) {
        await ctx.step(`ship ${name}`, () => {
          if (name === 'ant' && failures++ === 0) throw new Error('once')
          shipped.push(name)
        })
      }
    })
    await database.start(shipping)
    await database.client.result(await database.client.enqueue(shipping, null, { organizationId }))
    expect(shipped.toSorted()).toEqual(['ant', 'zebra'])
  })

  test('with a child for each key: ant has the price of ant', async () => {
    const organizationId = await database.organization()
    const price = flow('price', (_, item) => `price of ${String(item)}`)
    const prices = flow('prices', async (ctx) => {
      const stock = await ctx.step('load stock', () => ({ zebra: 3, ant: 9 }))
      const found = await ctx.map(Object.keys(stock), price)
      return Object.fromEntries(Object.keys(stock).map((item, index) => [item, found[index]]))
    })
    await database.start([price, prices])
    expect(await database.client.result(await database.client.enqueue(prices, null, { organizationId }))).toEqual({ ant: 'price of ant', zebra: 'price of zebra' })
  })

  test('whatever JSON can hold: what each run has seen is the same, to the last bit and in the order of keys', async () => {
    const organizationId = await database.organization()
    const seen: unknown[] = []
    const shape = (value: unknown): unknown =>
      Array.isArray(value) ? value.map(shape)
        : typeof value === 'object' && value !== null ? Object.entries(value).map(([key, item]) => [key, shape(item)])
          : Object.is(value, -0) ? '-0' : value === undefined ? 'undefined' : value
    const many = flow('many values', async (ctx) => {
      const values = [
        await ctx.step('keys', () => ({ zebra: 1, ant: { '10': 1, 9: 2, b: 3, aa: 4, é: 5, ab: 6 }, [`\u{1f600}`]: 1, '\uff5e': 2 })),
        await ctx.step('numbers', () => [-0, 1e21, 0.1 + 0.2, Number.MIN_VALUE, Number.MAX_VALUE, 123456789.123456789]),
        await ctx.step('nothing', (): unknown => undefined),
        await ctx.step('null', () => null),
        await ctx.step('undefined within', () => ({ a: undefined, b: [undefined, 1], c: null })),
        await ctx.map([1, 2], () => undefined),
        await ctx.transaction('transaction', () => Promise.resolve({ z: 1, a: [-0] })),
        ctx.random(), ctx.uuid(), ctx.now().getTime(),
      ]
      seen.push(shape(values))
      await ctx.sleep(1)
      if (ctx.attempt < 3) throw new Error('again')
      return null
    })
    await database.start(many)
    await database.client.result(await database.client.enqueue(many, null, { organizationId }))
    expect(seen.length).toBeGreaterThan(3)
    for (const each of seen) expect(each).toStrictEqual(seen[0])
  })

  test('also an error: the handler decides by its name, its code and its class as before', async () => {
    const organizationId = await database.organization()
    class Declined extends RangeError {
      override readonly name = 'Declined'
      readonly limit = { zebra: 1, ant: 2 }
    }
    const seen: unknown[] = []
    const declining = flow('declining', async (ctx) => {
      const caught: unknown[] = []
      for (const thrown of [new Declined('too much', { cause: new TypeError('inner') }), { zebra: 1, ant: 2 }, 'a text', 7, undefined, null]) {
        try {
          // eslint-disable-next-line @typescript-eslint/only-throw-error -- whatever is thrown is to come back
          await ctx.step('charge', () => { throw thrown })
        } catch (error) {
          if (error instanceof Error) {
            caught.push([error instanceof Declined, error instanceof RangeError, error.name, error.message, Object.entries(error), String(error.cause), error.stack])
          } else caught.push([typeof error, error, typeof error === 'object' && error !== null ? Object.keys(error) : ''])
        }
      }
      seen.push(caught)
      await ctx.sleep(1)
      return null
    })
    await database.start(declining)
    await database.client.result(await database.client.enqueue(declining, null, { organizationId }))
    expect(seen).toHaveLength(2)
    expect(seen[1]).toStrictEqual(seen[0])
    expect((seen[0] as unknown[][])[0]?.slice(0, 4)).toEqual([false, true, 'Declined', 'too much'])
  })
})

describe('nothing is a value', () => {
  test('a step that finds nothing gives undefined, also after a sleep', async () => {
    const organizationId = await database.organization()
    const users = [{ name: 'ada' }]
    const signIn = workflow({ name: 'sign in', input: z.string() }, async (ctx, name) => {
      const known = await ctx.step('find', () => users.find((user) => user.name === name))
      if (known !== undefined) return `welcome back, ${known.name}`
      await ctx.step('create', () => name)
      await ctx.sleep(5)
      return `welcome, ${name}`
    })
    await database.start(signIn)
    expect(await database.client.result(await database.client.enqueue(signIn, 'bob', { organizationId }))).toBe('welcome, bob')
  })

  test('a map of functions that return nothing completes, with and without a wait at its end', async () => {
    const organizationId = await database.organization()
    const mails = workflow({ name: 'mails', input: z.boolean() }, async (ctx, waits) => {
      const sent = await ctx.map(['ada', 'bob'], () => undefined)
      if (waits) await ctx.sleep(5)
      return sent
    })
    await database.start(mails)
    for (const waits of [true, false]) {
      expect(await database.client.result(await database.client.enqueue(mails, waits, { organizationId }))).toEqual([null, null])
    }
  })

  test('z.void() and optional inputs take nothing, from TypeScript, from SQL and as a child', async () => {
    const organizationId = await database.organization()
    const nightly = workflow({ name: 'nightly', input: z.void() }, () => 'done')
    const greeting = workflow({ name: 'greeting', input: z.string().optional() }, (_, name) => `hello ${name ?? 'nobody'}`)
    const parent = flow('parent of nothing', async (ctx) => [await ctx.invoke(nightly, undefined), await ctx.invoke(greeting, undefined), await ctx.invoke(greeting, 'ada')])
    await database.start([nightly, greeting, parent])
    expect(await database.client.result(await database.client.enqueue(nightly, undefined, { organizationId }))).toBe('done')
    const [row] = await database.query<{ id: string }>("select public.fw_enqueue('nightly', 'null', $1) as id", [organizationId])
    expect(await database.client.result(row?.id ?? '')).toBe('done')
    expect(await database.client.result(await database.client.enqueue(parent, null, { organizationId }))).toEqual(['done', 'hello nobody', 'hello ada'])
  })

  test('a child that returns nothing gives undefined', async () => {
    const organizationId = await database.organization()
    const silent = flow('silent', (): unknown => undefined)
    const asking = flow('asking', async (ctx) => {
      const one: unknown = await ctx.invoke(silent, 1)
      const more: unknown[] = await ctx.map([1, 2], silent)
      return [one === undefined, ...more.map((each) => each === undefined)]
    })
    await database.start([silent, asking])
    expect(await database.client.result(await database.client.enqueue(asking, null, { organizationId }))).toEqual([true, true, true])
  })
})
