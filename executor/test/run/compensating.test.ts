import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Context } from '../../src/context.js'
import { PermanentError } from '../../src/errors.js'
import { workflow, type RetryPolicy } from '../../src/workflow.js'
import { deadLetterOf, executorDatabase, expireLease, gate, until, untilStatus } from '../support/executor.js'
import { execution } from '../support/sql.js'

const database = executorDatabase()
const nothing = z.object({})

/** Steps a, b and c that note what is done and undone, and then whatever follows. */
function saga(name: string, then: (ctx: Context) => unknown, more: { retry?: RetryPolicy; fails?: (step: string) => void; parts?: string[] } = {}) {
  const log: string[] = []
  const definition = workflow({ name, input: nothing, retry: more.retry ?? { maxAttempts: 1 } }, async (ctx) => {
    for (const part of more.parts ?? ['a', 'b', 'c']) {
      await ctx.step(part, () => {
        log.push(`do ${part}`)
        return `${part}1`
      }, {
        compensate: (result) => {
          more.fails?.(part)
          log.push(`undo ${result}`)
        },
        compensateOptions: { retry: { maxAttempts: 2, backoff: { initial: 1 } } },
      })
    }
    return await then(ctx)
  })
  return { definition, log }
}

const stepStates = async (id: string) =>
  Object.fromEntries((await database.query<{ node_id: string; status: string }>('select node_id, status from public.fw_execution_steps where execution_id = $1', [id]))
    .map(({ node_id, status }) => [node_id, status]))

const fail = () => {
  throw new PermanentError('out of stock', { category: 'NOT_FOUND' })
}

describe('when an execution fails for good', () => {
  test('its completed steps are compensated, the last one first, and the dead letter says so', async () => {
    const organizationId = await database.organization()
    const { definition, log } = saga('saga', fail)
    await database.start(definition)
    const id = await database.client.enqueue(definition, {}, { organizationId })
    await expect(database.client.result(id)).rejects.toMatchObject({ status: 'failed', category: 'NOT_FOUND' })
    expect(log).toEqual(['do a', 'do b', 'do c', 'undo c1', 'undo b1', 'undo a1'])
    expect(await stepStates(id)).toEqual({ a: 'compensated', b: 'compensated', c: 'compensated' })
    expect((await deadLetterOf(database, id))['error']).toBe('out of stock; compensated: c, b, a')
  })

  test('and only then: an attempt that is retried compensates nothing', async () => {
    const organizationId = await database.organization()
    let tries = 0
    const { definition, log } = saga('retried', () => {
      if (++tries < 3) throw new Error('not yet')
      return 'done'
    }, { retry: { maxAttempts: 3, backoff: { initial: 0 } } })
    await database.start(definition)
    expect(await database.client.result(await database.client.enqueue(definition, {}, { organizationId }))).toBe('done')
    expect(log).toEqual(['do a', 'do b', 'do c'])
  })

  test('the last attempt compensates what earlier attempts have done', async () => {
    const organizationId = await database.organization()
    const { definition, log } = saga('used up', () => {
      throw new Error('never')
    }, { retry: { maxAttempts: 3, backoff: { initial: 0 } } })
    await database.start(definition)
    const id = await database.client.enqueue(definition, {}, { organizationId })
    await expect(database.client.result(id)).rejects.toThrow('never; compensated: c, b, a')
    expect(log).toEqual(['do a', 'do b', 'do c', 'undo c1', 'undo b1', 'undo a1'])
  })

  test('steps without a compensation are left as they are', async () => {
    const organizationId = await database.organization()
    const plain = workflow({ name: 'plain', input: nothing }, async (ctx) => {
      await ctx.step('a', () => 1)
      fail()
    })
    await database.start(plain)
    const id = await database.client.enqueue(plain, {}, { organizationId })
    await expect(database.client.result(id)).rejects.toThrow(/out of stock$/)
    expect(await stepStates(id)).toEqual({ a: 'completed' })
  })

  test('a compensation that throws is tried by its own policy; then the dead letter says which ran and which did not', async () => {
    const organizationId = await database.organization()
    let tries = 0
    const { definition, log } = saga('stuck', fail, {
      fails: (step) => {
        if (step === 'b') {
          tries++
          throw new Error('the bank is closed')
        }
      },
    })
    await database.start(definition)
    const id = await database.client.enqueue(definition, {}, { organizationId })
    await expect(database.client.result(id)).rejects.toThrow("out of stock; the compensation of 'b' failed: the bank is closed; compensated: c; not compensated: b, a")
    expect(tries).toBe(2)
    expect(log).toEqual(['do a', 'do b', 'do c', 'undo c1'])
    expect(await stepStates(id)).toEqual({ a: 'completed', b: 'completed', c: 'compensated' })
  })

  test('compensations survive a lost executor: the next run goes on with those that are left', async () => {
    const organizationId = await database.organization()
    const reached = gate()
    let isDead = true
    const undone: string[] = []
    const parts = workflow({ name: 'crashing', input: nothing, retry: { maxAttempts: 1, backoff: { initial: 0 } } }, async (ctx) => {
      for (const part of ['a', 'b', 'c']) {
        await ctx.step(part, () => part, {
          compensate: async (_, { signal }) => {
            if (part === 'b' && isDead) {
              reached.open()
              await new Promise((resolve) => {
                signal.addEventListener('abort', resolve)
              })
              throw new Error('gone')
            }
            undone.push(part)
          },
        })
      }
      fail()
    })
    await database.start(parts)
    const id = await database.client.enqueue(parts, {}, { organizationId })
    await reached.opened
    expect((await execution(database, id)).status).toBe('running')
    isDead = false
    await expireLease(database, id)
    await expect(database.client.result(id)).rejects.toThrow('out of stock; compensated: c, b, a')
    expect(undone).toEqual(['c', 'b', 'a'])
  })

  test('a redrive starts the compensated steps anew', async () => {
    const organizationId = await database.organization()
    let isFixed = false
    const { definition, log } = saga('redriven', () => {
      if (!isFixed) fail()
      return 'done'
    }, { parts: ['a'] })
    await database.start(definition)
    const id = await database.client.enqueue(definition, {}, { organizationId })
    await expect(database.client.result(id)).rejects.toThrow('compensated: a')
    isFixed = true
    const [letter] = await database.query<{ msg_id: string }>('select msg_id from public.fw_dlq where execution_id = $1', [id])
    await database.query('select public.fw_dlq_retry($1)', [letter?.msg_id])
    expect(await database.client.result(id)).toBe('done')
    expect(log).toEqual(['do a', 'undo a1', 'do a'])
    expect(await stepStates(id)).toEqual({ a: 'completed' })
  })
})

describe('when an execution is cancelled with compensation', () => {
  test('a waiting one undoes its steps and ends as cancelled, without a dead letter', async () => {
    const organizationId = await database.organization()
    const { definition, log } = saga('waiting saga', (ctx) => ctx.waitForEvent('never'))
    await database.start(definition)
    const id = await database.client.enqueue(definition, {}, { organizationId })
    await untilStatus(database, id, 'waiting')
    expect(await database.client.cancel(id, 'changed my mind', { compensate: true })).toBe(true)
    expect(await database.client.cancel(id, 'again', { compensate: true })).toBe(false)
    await expect(database.client.result(id)).rejects.toMatchObject({ status: 'cancelled', message: expect.stringContaining('cancelled: changed my mind; compensated: c, b, a') as unknown })
    expect(log.slice(3)).toEqual(['undo c1', 'undo b1', 'undo a1'])
    expect(await database.query('select 1 from public.fw_dlq where execution_id = $1', [id])).toEqual([])
  })

  test('a running one is aborted first, and its running step is not compensated', async () => {
    const organizationId = await database.organization()
    const running = gate()
    const { definition, log } = saga('running saga', (ctx) => ctx.step('last', async ({ signal }) => {
      running.open()
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve)
      })
    }, { compensate: () => log.push('undo last') }))
    await database.start(definition)
    const id = await database.client.enqueue(definition, {}, { organizationId })
    await running.opened
    await database.client.cancel(id, undefined, { compensate: true })
    await expect(database.client.result(id)).rejects.toMatchObject({ status: 'cancelled' })
    expect(log.slice(3)).toEqual(['undo c1', 'undo b1', 'undo a1'])
  })

  test('one that has done nothing yet just ends', async () => {
    const organizationId = await database.organization()
    const { definition, log } = saga('idle saga', () => 1)
    const id = await database.client.enqueue(definition, {}, { organizationId, delay: '1h' })
    await database.client.cancel(id, 'early', { compensate: true })
    await database.start(definition)
    await expect(database.client.result(id)).rejects.toMatchObject({ status: 'cancelled' })
    expect(log).toEqual([])
  })

  test('its children do the same', async () => {
    const organizationId = await database.organization()
    const child = saga('child saga', (ctx) => ctx.waitForEvent('never'), { parts: ['x'] })
    const parent = saga('parent saga', (ctx) => ctx.invoke(child.definition, {}), { parts: ['a'] })
    await database.start([parent.definition, child.definition])
    const id = await database.client.enqueue(parent.definition, {}, { organizationId })
    await until('the child waits', async () => (await database.client.list({ organizationId, workflow: child.definition, statuses: ['waiting'] })).length === 1)
    await database.client.cancel(id, 'all of it', { compensate: true })
    await until('both have ended', async () => (await database.client.list({ organizationId, statuses: ['cancelled'] })).length === 2)
    expect(parent.log).toEqual(['do a', 'undo a1'])
    expect(child.log).toEqual(['do x', 'undo x1'])
  })
})
