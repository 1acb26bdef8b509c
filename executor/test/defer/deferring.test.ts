import { expect, test } from 'vitest'
import { z } from 'zod'
import { Defer } from '../../src/defer.js'
import { UsageError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase } from '../support/executor.js'
import { execution, messages, one } from '../support/sql.js'

const database = executorDatabase()
const nothing = z.object({})

test('a deferral is no failed attempt, comes back after its delay, and keeps the steps', async () => {
  const organizationId = await database.organization()
  let steps = 0
  let asked = 0
  const limited = workflow({ name: 'limited', input: nothing, retry: { maxAttempts: 1 } }, async (ctx) => {
    await ctx.step('once', () => ++steps)
    await ctx.step('call', () => {
      if (++asked <= 3) throw new Defer('300ms')
    })
    return ctx.attempt
  })
  const executor = await database.start(limited, { pollInterval: '1h' })
  const id = await database.client.enqueue(limited, {}, { organizationId })
  expect(await database.client.result(id)).toBe(1)
  expect({ steps, asked }).toEqual({ steps: 1, asked: 4 })
  expect(executor.stats).toMatchObject({ released: 3, retried: 0, deadLettered: 0 })
})

test('until then it waits in the queue as attempt 1', async () => {
  const organizationId = await database.organization()
  const patient = workflow({ name: 'patient', input: nothing }, () => {
    throw new Defer('1h')
  })
  const executor = await database.start(patient)
  const id = await database.client.enqueue(patient, {}, { organizationId })
  for (let look = 0; look < 1000 && executor.stats.released === 0; look++) await new Promise((resolve) => setTimeout(resolve, 10))
  expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0, last_error: null })
  const { vt, message } = one(await messages(database, organizationId))
  expect(message).toMatchObject({ attempt: 1 })
  expect(vt.getTime()).toBeGreaterThan(Date.now() + 3_500_000)
})

test.each([-1, '30y', Infinity, 'soon'])('a delay of %s is refused', (delay) => {
  expect(() => new Defer(delay as '1s')).toThrow(UsageError)
})
