import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { executorDatabase, untilStatus } from '../support/executor.js'
import { flow, pause } from './scene.js'

const database = executorDatabase()
const unhandled: unknown[] = []
const note = (reason: unknown) => void unhandled.push(reason)

beforeAll(() => void process.on('unhandledRejection', note))
afterAll(() => void process.off('unhandledRejection', note))

interface Line {
  level: string
  fields: object | string
  message: string | undefined
}

function recorder() {
  const lines: Line[] = []
  const at = (level: string) => (fields: object | string, message?: string) => void lines.push({ level, fields, message })
  return { lines, logger: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } }
}

describe('a handler never harms the process', () => {
  test('when it begins a wait and awaits it a moment later, when it has already failed', async () => {
    const organizationId = await database.organization()
    const waiting = flow('awaited later', async (ctx) => {
      const approval = ctx.waitForEvent('approved', { timeout: 200 })
      await pause(50)
      try {
        await approval
        return 'approved'
      } catch {
        return 'not approved'
      }
    })
    await database.start(waiting)
    expect(await database.client.result(await database.client.enqueue(waiting, null, { organizationId }))).toBe('not approved')
    expect(unhandled).toEqual([])
  })

  test('when steps, transactions, maps, children and waits that nobody awaits fail', async () => {
    const organizationId = await database.organization()
    const failing = flow('failing child', () => { throw new Error('no') }, 1)
    const careless = flow('careless', async (ctx) => {
      const fail = () => { throw new Error('nobody looks') }
      void ctx.step('step', fail)
      void ctx.transaction('transaction', () => Promise.reject(new Error('nobody looks')))
      void ctx.map([1, 2, 3], fail)
      void ctx.invoke(failing, 1)
      void ctx.map([1], failing, { name: 'children' })
      void ctx.waitForEvent('never', { timeout: 10 })
      void ctx.step('', fail)
      void ctx.sleep(-1)
      await ctx.step('work', () => pause(20))
      await ctx.sleep(50)
      return 'fine'
    })
    const { lines, logger } = recorder()
    await database.start([failing, careless], { logger })
    expect(await database.client.result(await database.client.enqueue(careless, null, { organizationId }))).toBe('fine')
    await sleep(20)
    expect(unhandled).toEqual([])
    // And yet it is told.
    const told = lines.filter(({ message }) => message === 'a step has failed that nobody awaited: the handler went on without it')
    expect(told.map(({ level, fields }) => [level, (fields as { step: string }).step])).toEqual(expect.arrayContaining([['warn', 'step'], ['warn', 'transaction'], ['warn', 'map']]))
  })

  test('and what it awaits, be it later, in a race or among others, is not told', async () => {
    const organizationId = await database.organization()
    const careful = flow('careful', async (ctx) => {
      const fail = () => { throw new Error('somebody looks') }
      const later = ctx.step('later', fail)
      await ctx.step('work', () => 1)
      await later.catch(() => undefined)
      await Promise.allSettled([ctx.step('settled', fail)])
      await Promise.any([ctx.step('any', fail), ctx.step('fine', () => 1)])
      return 'fine'
    })
    const { lines, logger } = recorder()
    await database.start(careful, { logger })
    await database.client.result(await database.client.enqueue(careful, null, { organizationId }))
    expect(lines.filter(({ level }) => level === 'warn')).toEqual([])
  })
})

describe('a run that suspends', () => {
  test('ends there: what stands behind the wait, and `finally` around it, happens once, in the run that sees it over', async () => {
    const organizationId = await database.organization()
    const happened: string[] = []
    const closing = flow('finally', async (ctx) => {
      happened.push('opened')
      try {
        await ctx.sleep(20)
        happened.push('slept')
      } finally {
        happened.push('closed')
      }
      return 'done'
    })
    await database.start(closing)
    expect(await database.client.result(await database.client.enqueue(closing, null, { organizationId }))).toBe('done')
    expect(happened).toEqual(['opened', 'opened', 'slept', 'closed'])
  })

  test('leaves nothing of a branch that waits for something of its own', async () => {
    const organizationId = await database.organization()
    const branching = flow('own timer', async (ctx) => {
      await Promise.all([ctx.sleep(30), pause(10).then(() => ctx.step('after my own timer', () => 1))])
      return 'done'
    })
    await database.start(branching)
    const id = await database.client.enqueue(branching, null, { organizationId })
    await untilStatus(database, id, 'waiting')
    expect(await database.client.result(id)).toBe('done')
    expect(unhandled).toEqual([])
  })
})
