import { describe, expect, test } from 'vitest'
import { executorDatabase, gate, until } from '../support/executor.js'
import { flow } from './scene.js'

const database = executorDatabase()

describe('a wait that is asked for while steps are under way begins at once', () => {
  test('a sleep counts from then, a child runs, an event is received; what follows them comes when the steps have ended', async () => {
    const organizationId = await database.organization()
    const ended = gate()
    const order: string[] = []
    const child = flow('child beside', () => order.push('child ran'))
    const beside = flow('beside', async (ctx) => {
      void ctx.sleep('1h')
      const results = await Promise.all([
        ctx.step('long', () => ended.opened),
        ctx.invoke(child, 1).then(() => ctx.step('after the child', () => order.push('after the child'))),
        ctx.waitForEvent('go').then((payload) => ctx.step('after the event', () => order.push(`after ${String(payload)}`))),
        ctx.map([1, 2], child, { name: 'children' }),
      ])
      return results.length
    })
    await database.start([beside, child])
    const id = await database.client.enqueue(beside, null, { organizationId })
    await until('the children have run', () => order.filter((each) => each === 'child ran').length === 3)
    await database.client.emit(organizationId, 'go', 'the event')
    const waits = await database.query<{ node_id: string }>("select node_id from public.fw_execution_steps where execution_id = $1 and asked is not null order by 1", [id])
    expect(waits.map(({ node_id }) => node_id)).toEqual(['child beside', 'children[0]', 'children[1]', 'event go', 'sleep'])
    expect(await database.query("select 1 from public.fw_execution_steps where execution_id = $1 and node_id = 'sleep' and wake_at > now() + interval '59 minutes'", [id])).toHaveLength(1)
    expect((await database.client.get(id)).status).toBe('running')
    ended.open()
    expect(await database.client.result(id)).toBe(4)
    expect(order.toSorted()).toEqual(['after the child', 'after the event', 'child ran', 'child ran', 'child ran'])
  })

  test('a sleep of 300 ms beside a step of 300 ms takes them once', async () => {
    const organizationId = await database.organization()
    const ended = gate()
    const both = flow('both', async (ctx) => {
      await Promise.all([ctx.step('step', () => ended.opened), ctx.sleep(300)])
    })
    await database.start(both)
    const id = await database.client.enqueue(both, null, { organizationId })
    const waking = async () => (await database.query<{ wake_at: Date }>("select wake_at from public.fw_execution_steps where execution_id = $1 and node_id = 'sleep'", [id]))[0]?.wake_at
    await until('the sleep has begun', async () => (await waking()) !== undefined)
    const before = await waking()
    ended.open()
    await database.client.result(id)
    expect(await waking()).toEqual(before)
  })
})
