import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Context } from '../../src/context.js'
import { PermanentError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { deadLetterOf, executorDatabase, untilStatus } from '../support/executor.js'
import { execution, one } from '../support/sql.js'

const database = executorDatabase()
const input = z.object({})
const quick = { maxAttempts: 3, backoff: { initial: 1, max: 1 } }

test('each failed attempt keeps its own error, category, step, stack, executor, batch and time', async () => {
  const organizationId = await database.organization()
  const failing = workflow({ name: 'fails thrice', input, retry: quick }, async (ctx) => {
    if (ctx.attempt === 3) throw Object.assign(new Error('the bank is closed'), { category: 'EXTERNAL_SERVICE' })
    await ctx.step(`step of attempt ${ctx.attempt}`, function charge() {
      throw new Error(`attempt ${ctx.attempt} broke`)
    })
  })
  await database.start(failing, { name: 'worker 7' })
  const id = await database.client.enqueue(failing, {}, { organizationId })
  await untilStatus(database, id, 'failed')
  const attempts = await database.client.attempts(id)
  const common = { executor: 'worker 7', permanent: false, failedAt: expect.any(Date) as unknown }
  expect(attempts).toMatchObject([
    { ...common, attempt: 3, error: 'the bank is closed', errorCategory: 'EXTERNAL_SERVICE', step: null, outcome: 'failed' },
    { ...common, attempt: 2, error: 'attempt 2 broke', errorCategory: 'RUNTIME', step: 'step of attempt 2', outcome: 'retry_pending' },
    { ...common, attempt: 1, error: 'attempt 1 broke', errorCategory: 'RUNTIME', step: 'step of attempt 1', outcome: 'retry_pending' },
  ])
  for (const { stack, executorId, batchId } of attempts) {
    expect(stack).toMatch(/\n +at /)
    expect(await database.query('select 1 from public.fw_worker_runs where id = $1 and executor_id = $2', [batchId, executorId])).toHaveLength(1)
  }
  expect(attempts[1]?.stack).toMatch(/^Error: attempt 2 broke\n +at charge /)
  expect(new Set(attempts.map(({ batchId }) => batchId)).size).toBe(3)
  // The message is not mixed with the stack.
  expect(await execution(database, id)).toMatchObject({ last_error: 'the bank is closed' })
})

test('they are kept when a later attempt completes the execution', async () => {
  const organizationId = await database.organization()
  const failing = workflow({ name: 'fails once', input, retry: quick }, (ctx) => {
    if (ctx.attempt === 1) throw new Error('not yet')
    return 'done'
  })
  await database.start(failing)
  const id = await database.client.enqueue(failing, {}, { organizationId })
  expect(await database.client.result(id)).toBe('done')
  expect(await database.client.attempts(id)).toMatchObject([{ attempt: 1, error: 'not yet', outcome: 'retry_pending' }])
})

test('a dead letter names the step and the executor', async () => {
  const organizationId = await database.organization()
  const failing = workflow({ name: 'declines', input }, (ctx) =>
    ctx.step('charge card', () => {
      throw new PermanentError('declined')
    }),
  )
  await database.start(failing, { name: 'worker 8' })
  const id = await database.client.enqueue(failing, {}, { organizationId })
  await untilStatus(database, id, 'failed')
  expect(await deadLetterOf(database, id)).toMatchObject({ step: 'charge card', executor: 'worker 8' })
  expect(await database.query('select step, executor from public.fw_dlq where execution_id = $1', [id])).toEqual([{ step: 'charge card', executor: 'worker 8' }])
})

test('a run that only undoes is no failed attempt, and the dead letter names the step that failed', async () => {
  const organizationId = await database.organization()
  const undoing = workflow({ name: 'undoes', input }, async (ctx) => {
    await ctx.step('reserve', () => 1, { compensate: () => undefined })
    await ctx.step('charge', () => Promise.reject(new PermanentError('declined')))
  })
  await database.start(undoing)
  const id = await database.client.enqueue(undoing, {}, { organizationId })
  await untilStatus(database, id, 'failed')
  expect(await database.client.attempts(id)).toMatchObject([{ attempt: 1, error: 'declined', step: 'charge', outcome: 'compensating', permanent: true }])
  expect(await deadLetterOf(database, id)).toMatchObject({ step: 'charge' })
})

test('a compensation that fails is a failed attempt of its own', async () => {
  const organizationId = await database.organization()
  const undoing = workflow({ name: 'cannot undo', input }, async (ctx) => {
    await ctx.step('reserve', () => 1, { compensate: () => Promise.reject(new Error('the shelf is gone')), compensateOptions: { retry: { maxAttempts: 1 } } })
    throw new PermanentError('declined')
  })
  await database.start(undoing)
  const id = await database.client.enqueue(undoing, {}, { organizationId })
  await untilStatus(database, id, 'failed')
  expect(await database.client.attempts(id)).toMatchObject([
    { error: expect.stringContaining('the shelf is gone') as unknown, outcome: 'failed' },
    { error: 'declined', outcome: 'compensating' },
  ])
})

describe('the step of an error is known', () => {
  const of = async (name: string, handler: (ctx: Context) => unknown) => {
    const organizationId = await database.organization()
    const failing = workflow({ name, input, retry: { maxAttempts: 1 } }, handler)
    await database.start(failing)
    const id = await database.client.enqueue(failing, {}, { organizationId })
    await untilStatus(database, id, 'failed')
    return one(await database.client.attempts(id))
  }

  test('of a transaction step', async () => {
    expect(await of('books', (ctx) => ctx.transaction('book it', (sql) => sql.query('select 1 / 0')))).toMatchObject({ step: 'book it', error: 'division by zero' })
  })

  test('of one among several side by side', async () => {
    const failed = await of('side by side', (ctx) =>
      Promise.all([ctx.step('slow', () => sleep(50)), ctx.step('quick', () => Promise.reject(new Error('broke')))]))
    expect(failed).toMatchObject({ step: 'quick', error: 'broke' })
  })

  test('of a schema that did not fit in it, and so is its category', async () => {
    expect(await of('parses', (ctx) => ctx.step('parse prices', () => z.object({ cents: z.number() }).parse({})))).toMatchObject({
      step: 'parse prices', errorCategory: 'VALIDATION', error: 'cents: Invalid input: expected number, received undefined',
    })
  })

  test('of one whose error the handler has wrapped, with the whole story in the stack', async () => {
    const failed = await of('wraps', async (ctx) => {
      try {
        await ctx.step('fetch', () => Promise.reject(new Error('no network')))
      } catch (error) {
        throw new Error('no prices today', { cause: error })
      }
    })
    expect(failed).toMatchObject({ step: 'fetch', error: 'no prices today' })
    expect(failed.stack).toContain('caused by: Error: no network')
  })

  test('and not of one whose error the handler went on from', async () => {
    expect(await of('goes on', async (ctx) => {
      await ctx.step('optional', () => Promise.reject(new Error('first'))).catch(() => undefined)
      await ctx.step('another', () => 1)
      throw new Error('second')
    })).toMatchObject({ step: null, error: 'second' })
  })

  test('nor when two steps throw one and the same error is it of the earlier one', async () => {
    const shared = new Error('shared')
    expect(await of('shares an error', async (ctx) => {
      await ctx.step('one', () => Promise.reject(shared)).catch(() => undefined)
      await ctx.step('two', () => Promise.reject(shared))
    })).toMatchObject({ step: 'two' })
  })
})

describe('what cannot be looked at is a failed attempt, and the process lives:', () => {
  const getter = () => Object.defineProperty(new Error('outer'), 'code', { get() { throw new Error('no code') } })
  const proxy = () => {
    const { proxy: made, revoke } = Proxy.revocable({}, {})
    revoke()
    return made
  }
  const undo = (make: () => unknown) => ({
    compensate: () => {
       
      throw make()
    },
    compensateOptions: { retry: { maxAttempts: 1 } },
  })
  const places: Record<string, (ctx: Context, fail: () => never, make: () => unknown) => unknown> = {
    'thrown by the handler': (_, fail) => fail(),
    'thrown by a step': (ctx, fail) => ctx.step('a', fail),
    'thrown by a step that is tried again': (ctx, fail) => ctx.step('a', fail, { retry: { maxAttempts: 2, backoff: { initial: 1 } } }),
    'thrown by a transaction step': (ctx, fail) => ctx.transaction('a', fail),
    'thrown by a compensation': async (ctx, _, make) => {
      await ctx.step('a', () => 1, undo(make))
      throw new PermanentError('undo it')
    },
  }
  const cases = Object.entries(places).flatMap(([place, handler]) =>
    ([['an error whose code throws', getter], ['a revoked proxy', proxy]] as const).map(([what, make]) => [`${what}, ${place}`, handler, make] as const))

  test.each(cases)('%s', async (name, handler, make) => {
    const organizationId = await database.organization()
    const fail = () => {
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- a workflow may throw whatever it likes
      throw make()
    }
    const failing = workflow({ name, input, retry: { maxAttempts: 1 } }, (ctx) => handler(ctx, fail, make))
    await database.start(failing)
    const id = await database.client.enqueue(failing, {}, { organizationId })
    await untilStatus(database, id, 'failed')
    expect((await database.client.attempts(id)).at(-1)).toMatchObject({ error: expect.stringMatching(/./) as unknown })
  })
})

test('what the redactor takes out is in no stack that is kept either', async () => {
  const organizationId = await database.organization()
  const leaking = workflow({ name: 'leaks', input, retry: { maxAttempts: 1 } }, () => {
    throw new Error('login with hunter2 failed', { cause: new Error('hunter2 is wrong') })
  })
  await database.start(leaking, { redact: (text) => text.replaceAll('hunter2', '***') })
  const id = await database.client.enqueue(leaking, {}, { organizationId })
  await untilStatus(database, id, 'failed')
  const { error, stack } = one(await database.client.attempts(id))
  expect(error).toBe('login with *** failed')
  expect(stack).toMatch(/^Error: login with \*\*\* failed\n +at /)
  expect(stack).toContain('caused by: Error: *** is wrong')
  expect(JSON.stringify(await database.query('select a.* from public.fw_failed_attempts a where a.execution_id = $1', [id]))).not.toContain('hunter2')
})
