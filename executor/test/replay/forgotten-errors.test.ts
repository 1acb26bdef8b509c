// A step that has failed an attempt runs again. What else the handler had seen by then, and done, stays as it was.
import { expect, test } from 'vitest'
import { executorDatabase } from '../support/executor.js'
import { flow, pause } from './scene.js'

const database = executorDatabase()

test('a race that was decided after the failure of a step that is awaited late stays decided when that step runs again', async () => {
  const organizationId = await database.organization()
  const shipped: string[] = []
  let failures = 0
  const late = flow('late', async (ctx) => {
    const prefetched = ctx.step('prefetch', () => {
      if (failures++ === 0) throw new Error('the cache was away for a moment')
    })
    await ctx.step('until it has failed', () => pause(30))
    const quotes = [ctx.step('ask a', () => pause(60).then(() => 'a')), ctx.step('ask b', () => 'b')]
    const carrier = await Promise.race(quotes)
    await ctx.step('ship', () => {
      shipped.push(carrier)
    })
    const all = await Promise.all(quotes)
    await prefetched
    return { carrier, all }
  })
  await database.start(late)
  const id = await database.client.enqueue(late, null, { organizationId })
  expect(await database.client.result(id)).toEqual({ carrier: 'b', all: ['a', 'b'] })
  expect(shipped).toEqual(['b'])
  expect(failures).toBe(2)
})
