import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { LeaseLostError, PermanentError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, expireLease, gate, shortLeases, steps, until, untilStatus } from '../support/executor.js'
import { type Proxy, startProxy } from '../support/proxy.js'
import { contents, execution } from '../support/sql.js'

const database = executorDatabase()
const proxies: Proxy[] = []
afterEach(async () => {
  await Promise.all(proxies.splice(0).map((proxy) => proxy.close()))
})

describe('an executor whose lease ran out, and whose execution another has finished meanwhile, changes nothing', () => {
  const ends: [string, () => unknown][] = [
    ['when it completes the execution', () => 'of the first'],
    ['when it goes on to another step', () => 'next'],
    [
      'when its attempt fails',
      () => {
        throw new Error('of the first')
      },
    ],
    [
      'when its attempt fails for good',
      () => {
        throw new PermanentError('of the first')
      },
    ],
  ]
  test.each(ends)('%s', async (what, end) => {
    const organizationId = await database.organization()
    const running = gate()
    const go = gate()
    const next = gate()
    let signal: AbortSignal | undefined
    const mine = workflow({ name: what, input: z.object({}) }, async (ctx) => {
      signal = ctx.signal
      await ctx.step('a', async () => {
        running.open()
        await go.opened
        return 'of the first'
      })
      const result = end()
      if (result === 'next') {
        await ctx.step('b', () => {
          next.open()
        })
      }
      return result
    })
    const theirs = workflow({ name: what, input: z.object({}) }, async (ctx) => {
      await ctx.step('a', () => 'of the second')
      return 'of the second'
    })
    const first = await database.start(mine, { concurrency: 1 })
    const id = await database.client.enqueue(mine, {}, { organizationId })
    await running.opened
    await expireLease(database, id)
    const second = await database.start(theirs)
    await untilStatus(database, id, 'completed')
    await until('the second has heard it', () => second.stats.completed === 1)

    const before = await contents(database)
    go.open()
    await until('the first is told', () => first.stats.fenced === 1)
    expect(await contents(database)).toEqual(before)
    expect(await execution(database, id)).toMatchObject({ status: 'completed', output: 'of the second', retry_count: 1 })
    expect((await steps(database, id)).map(({ node_id, output_data }) => [node_id, output_data])).toEqual([['a', 'of the second']])
    expect(signal?.reason).toBeInstanceOf(LeaseLostError)
    expect(next.isOpen).toBe(false)
    expect(first.stats).toMatchObject({ claimed: 1, completed: 0, retried: 0, deadLettered: 0, fenced: 1, inFlight: 0 })
  })
})

describe('an executor that reports nothing meanwhile', () => {
  test('learns by the next extension that its lease was lost, and stops the run', async () => {
    const organizationId = await database.organization()
    // By its own clock it would notice only after all of the lease.
    await shortLeases(database, organizationId, 20)
    const running = gate()
    let reason: unknown
    const long = workflow({ name: 'long', input: z.object({}) }, async (ctx) => {
      await ctx.step('a', async ({ signal }) => {
        running.open()
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve)
        })
        reason = signal.reason
      })
    })
    const executor = await database.start(long)
    const id = await database.client.enqueue(long, {}, { organizationId })
    await running.opened
    await database.query('update public.fw_module_settings set fw_execution_worker_enabled = false where organization_id = $1', [organizationId])
    await expireLease(database, id)
    const before = await contents(database)
    await until('the run is stopped', () => reason !== undefined, 16)
    expect(reason).toBeInstanceOf(LeaseLostError)
    expect(executor.stats).toMatchObject({ fenced: 1, inFlight: 0 })
    expect(await contents(database)).toEqual(before)
  })

  test.each(['silence', 'cut'] as const)('stops the run by its own clock when the database cannot be asked (%s)', async (how) => {
    const organizationId = await database.organization()
    await shortLeases(database, organizationId, 3)
    const proxy = await startProxy(database.url)
    proxies.push(proxy)
    const running = gate()
    let reason: unknown
    const long = workflow({ name: `long ${how}`, input: z.object({}) }, async (ctx) => {
      await ctx.step('a', async ({ signal }) => {
        if (ctx.attempt > 1) return
        running.open()
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve)
        })
        reason = signal.reason
      })
      return ctx.attempt
    })
    const executor = await database.start(long, { connectionString: proxy.url })
    const id = await database.client.enqueue(long, {}, { organizationId })
    await running.opened
    proxy[how]()
    await until('the run is stopped', () => reason !== undefined)
    expect(reason).toBeInstanceOf(LeaseLostError)
    expect(executor.stats).toMatchObject({ fenced: 1, inFlight: 0 })
    proxy.restore()
    expect(await database.client.result(id)).toBe(2)
  })
})
