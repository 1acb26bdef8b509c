import { describe, expect, test } from 'vitest'
import { executorDatabase, untilStatus } from '../support/executor.js'
import { flow, pause } from './scene.js'

const database = executorDatabase()

describe('branches side by side get their own results in every run', () => {
  test('when they use one step name, and one of them fails an attempt', async () => {
    const organizationId = await database.organization()
    const saved: string[] = []
    let failed = false
    const branches = flow('one name', async (ctx) =>
      await Promise.all(([['A', 200], ['B', 20]] as const).map(async ([item, milliseconds]) => {
        const data = await ctx.step('fetch', async () => {
          await pause(milliseconds)
          return `data of ${item}`
        })
        return await ctx.step('save', () => {
          if (item === 'A' && !failed) {
            failed = true
            throw new Error('the disk was full for a moment')
          }
          saved.push(data)
          return `saved ${data}`
        })
      })))
    await database.start(branches)
    const id = await database.client.enqueue(branches, null, { organizationId })
    expect(await database.client.result(id)).toEqual(['saved data of A', 'saved data of B'])
    expect(saved.toSorted()).toEqual(['data of A', 'data of B'])
  })

  test('when the faster one invokes a child of the same workflow first', async () => {
    const organizationId = await database.organization()
    const ship = flow('ship', (_, order) => `label of ${String(order)}`)
    const orders = flow('orders', async (ctx) =>
      await Promise.all(([['A', 150], ['B', 20]] as const).map(async ([order, milliseconds]) => {
        await ctx.step(`look up ${order}`, () => pause(milliseconds))
        return { order, label: await ctx.invoke(ship, order) }
      })))
    await database.start([ship, orders])
    const id = await database.client.enqueue(orders, null, { organizationId })
    expect(await database.client.result(id)).toEqual([{ label: 'label of A', order: 'A' }, { label: 'label of B', order: 'B' }])
  })

  test('when sleeps of different lengths, uuids and times follow steps of different speed', async () => {
    const organizationId = await database.organization()
    const seen: Record<string, unknown>[] = []
    const keys = flow('keys', async (ctx) => {
      const keyed = await Promise.all(([['A', 80, 1], ['B', 10, 60]] as const).map(async ([branch, milliseconds, sleep]) => {
        await ctx.step(`before ${branch}`, () => pause(milliseconds))
        const uuid = ctx.uuid()
        const at = ctx.now().getTime()
        await ctx.sleep(sleep)
        await ctx.step(`pay ${branch}`, () => {
          seen.push({ branch, uuid, at })
        })
        await ctx.sleep(1)
        return { branch, uuid, at }
      }))
      return keyed
    })
    await database.start(keys)
    const id = await database.client.enqueue(keys, null, { organizationId })
    const result = await database.client.result(id)
    expect(seen.toSorted((a, b) => String(a['branch']).localeCompare(String(b['branch'])))).toEqual(result)
    const sleeps = await database.query("select node_id, asked from public.fw_execution_steps where execution_id = $1 and node_id like 'sleep%' order by step_index limit 2", [id])
    // B was faster, so its sleep is the first.
    expect(sleeps).toEqual([{ node_id: 'sleep', asked: 'a sleep of 60 ms' }, { node_id: 'sleep#2', asked: 'a sleep of 1 ms' }])
  })

  test('when steps of maps in maps are of different speed and all have one name', async () => {
    const organizationId = await database.organization()
    let attempts = 0
    const nested = flow('nested maps', async (ctx) => {
      const results = await Promise.all([30, 10, 20].map(async (base) => {
        const rows = await ctx.map([3, 1, 2], async (item) => {
          await pause(base * item)
          return `${base}.${item}`
        }, { concurrency: 2, name: 'row' })
        return await ctx.step('sum up', () => rows.join())
      }))
      if (++attempts < 3) throw new Error('again')
      return results
    })
    await database.start(nested)
    const id = await database.client.enqueue(nested, null, { organizationId })
    expect(await database.client.result(id)).toEqual([30, 10, 20].map((base) => [3, 1, 2].map((item) => `${base}.${item}`).join()))
  })
})

describe('a race is decided once', () => {
  test('between steps: the loser that is recorded too does not win later', async () => {
    const organizationId = await database.organization()
    const winners: string[] = []
    const race = flow('race of steps', async (ctx) => {
      const slow = ctx.step('slow', async () => {
        await pause(60)
        return 'slow'
      })
      const fast = ctx.step('fast', async () => {
        await pause(5)
        return 'fast'
      })
      const winner = await Promise.race([slow, fast])
      winners.push(winner)
      await ctx.step('decide', () => winner)
      await slow
      await ctx.sleep(10)
      if (ctx.attempt === 1) throw new Error('again')
      return winner
    })
    await database.start(race)
    const id = await database.client.enqueue(race, null, { organizationId })
    expect(await database.client.result(id)).toBe('fast')
    expect(new Set(winners)).toEqual(new Set(['fast']))
    expect(winners.length).toBeGreaterThan(2)
  })

  test('between events: an approval that came first stays one', async () => {
    const organizationId = await database.organization()
    const approval = flow('approval or rejection', async (ctx) => {
      const decision = await Promise.race([
        ctx.waitForEvent('rejected').then(() => 'rejected'),
        ctx.waitForEvent('approved').then(() => 'approved'),
      ])
      await ctx.step('tell', () => decision)
      // Until then the other event has come too.
      await ctx.waitForEvent('go on')
      return decision
    })
    await database.start(approval)
    const id = await database.client.enqueue(approval, null, { organizationId })
    await untilStatus(database, id, 'waiting')
    await database.client.emit(organizationId, 'approved')
    await expect.poll(async () => (await database.query("select 1 from public.fw_execution_steps where execution_id = $1 and node_id = 'tell'", [id])).length).toBe(1)
    await untilStatus(database, id, 'waiting')
    await database.client.emit(organizationId, 'rejected')
    await database.client.emit(organizationId, 'go on')
    expect(await database.client.result(id)).toBe('approved')
    expect(await database.query("select output_data from public.fw_execution_steps where execution_id = $1 and node_id = 'tell'", [id])).toEqual([{ output_data: 'approved' }])
  })

  test('between an event and a timeout that is over too when the execution wakes', async () => {
    const organizationId = await database.organization()
    const late = flow('event or timeout', async (ctx) => {
      const first = await Promise.race([ctx.sleep(500).then(() => 'too late'), ctx.waitForEvent('answer').then(() => 'answered')])
      await ctx.sleep(1)
      return first
    })
    const executor = await database.start(late)
    const id = await database.client.enqueue(late, null, { organizationId })
    await untilStatus(database, id, 'waiting')
    await executor.stop()
    await database.client.emit(organizationId, 'answer')
    await pause(700)
    await database.start(late)
    expect(await database.client.result(id)).toBe('answered')
  })

  test('Promise.any and allSettled see the failures that they saw', async () => {
    const organizationId = await database.organization()
    let tries = 0
    const any = flow('any', async (ctx) => {
      const first = await Promise.any([
        ctx.step('broken', () => {
          if (tries++ === 0) throw new Error('not this one')
          return 'broken works now'
        }),
        ctx.step('good', async () => {
          await pause(20)
          return 'good'
        }),
      ])
      const all = await Promise.allSettled([ctx.step('a', () => 1), ctx.step('b', () => { throw new TypeError('no') })])
      await ctx.sleep(5)
      return { first, all: all.map((each) => (each.status === 'fulfilled' ? each.value : String(each.reason))) }
    })
    await database.start(any)
    const id = await database.client.enqueue(any, null, { organizationId })
    expect(await database.client.result(id)).toEqual({ all: [1, 'TypeError: no'], first: 'good' })
    expect(tries).toBe(1)
  })
})

describe('a failure that the handler has gone on from', () => {
  test('is decided: the fallback is not taken back by a later run', async () => {
    const organizationId = await database.organization()
    const charged: string[] = []
    const charge = flow('fallback', async (ctx) => {
      let by: string
      try {
        by = await ctx.step('charge the first', () => {
          charged.push('first')
          if (charged.length === 1) throw Object.assign(new Error('declined'), { code: 'DECLINED', limit: { of: 5 } })
          return 'first'
        })
      } catch (error) {
        const { code, limit, message } = error as { code: string; limit: { of: number }; message: string }
        by = await ctx.step('charge the second', () => {
          charged.push('second')
          return `second after ${message} ${code} ${limit.of}`
        })
      }
      await ctx.sleep(5)
      await ctx.step('book', () => {
        if (ctx.attempt === 1) throw new Error('the books are closed')
      })
      return by
    })
    await database.start(charge)
    const id = await database.client.enqueue(charge, null, { organizationId })
    expect(await database.client.result(id)).toBe('second after declined DECLINED 5')
    expect(charged).toEqual(['first', 'second'])
  })

  test('is tried again when the attempt fails by it, as a cause or among others', async () => {
    const organizationId = await database.organization()
    let tries = 0
    const collecting = flow('collecting', async (ctx) => {
      const failures: unknown[] = []
      for (const item of ['a', 'b', 'c']) {
        try {
          await ctx.step(`send ${item}`, () => {
            if (item === 'b' && ++tries < 3) throw new Error(`no ${item}`)
          })
        } catch (error) {
          failures.push(error)
        }
      }
      if (failures.length === 1) throw new Error('one was not sent', { cause: failures[0] })
      if (failures.length > 0) throw new AggregateError(failures, 'some were not sent')
      return ctx.attempt
    })
    await database.start(collecting)
    const id = await database.client.enqueue(collecting, null, { organizationId })
    expect(await database.client.result(id)).toBe(3)
    expect(await database.query('select node_id, status, attempt_number from public.fw_execution_steps where execution_id = $1 order by step_index', [id])).toEqual([
      { node_id: 'send a', status: 'completed', attempt_number: 1 },
      { node_id: 'send b', status: 'completed', attempt_number: 3 },
      { node_id: 'send c', status: 'completed', attempt_number: 1 },
    ])
  })

  test('is tried again with all that failed beside it, whichever of them the handler has seen', async () => {
    const organizationId = await database.organization()
    const tries = new Map<number, number>()
    const beside = flow('failing beside', async (ctx) =>
      await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((item) => ctx.step(`call ${item}`, async () => {
        tries.set(item, (tries.get(item) ?? 0) + 1)
        await pause(5 * item)
        if (ctx.attempt === 1) throw new Error('the service is down')
        return item
      }))))
    await database.start(beside)
    const id = await database.client.enqueue(beside, null, { organizationId })
    expect(await database.client.result(id)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    expect((await database.client.get(id)).attempt).toBe(2)
    expect([...tries.values()]).toEqual([2, 2, 2, 2, 2, 2, 2, 2])
  })

  test('is tried again when the handler throws another error without asking for anything else', async () => {
    const organizationId = await database.organization()
    let tries = 0
    const wrapping = flow('wrapping', async (ctx) => {
      try {
        await ctx.step('connect', () => {
          if (++tries < 3) throw new Error('refused')
        })
      } catch {
        throw new Error('there was no connection')
      }
      return tries
    })
    await database.start(wrapping)
    expect(await database.client.result(await database.client.enqueue(wrapping, null, { organizationId }))).toBe(3)
  })
})
