import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { PermanentError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { deadLetterOf, executorDatabase, until, untilStatus } from '../support/executor.js'
import { execution, one } from '../support/sql.js'

const database = executorDatabase()
const quick = { backoff: { initial: 1, max: 1 } }

describe('an error that may pass', () => {
  test.each([2, 5])('is retried until %d attempts have failed, then dead-lettered with the last error', async (maxAttempts) => {
    const organizationId = await database.organization()
    const attempts: number[] = []
    const failing = workflow({ name: `failing ${maxAttempts}`, input: z.object({}), retry: { maxAttempts, backoff: { initial: 5, max: 10 } } }, (ctx) => {
      attempts.push(ctx.attempt)
      throw new Error(`attempt ${ctx.attempt} broke`)
    })
    await database.start(failing)
    const id = await database.client.enqueue(failing, {}, { organizationId })
    await untilStatus(database, id, 'failed')
    expect(attempts).toEqual(Array.from({ length: maxAttempts }, (_, index) => index + 1))
    expect(await deadLetterOf(database, id)).toMatchObject({
      execution_id: id,
      organization_id: organizationId,
      workflow_name: failing.name,
      attempt: maxAttempts,
      error: `attempt ${maxAttempts} broke`,
      error_category: 'RUNTIME',
    })
    expect(await execution(database, id)).toMatchObject({ last_error: `attempt ${maxAttempts} broke`, retry_count: maxAttempts - 1 })
  })

  test('waits for its backoff in between', async () => {
    const organizationId = await database.organization()
    const failing = workflow({ name: 'waiting', input: z.object({}), retry: { backoff: { initial: '10m', max: '10m' } } }, () => {
      throw new Error('broke')
    })
    const executor = await database.start(failing)
    const id = await database.client.enqueue(failing, {}, { organizationId })
    await untilStatus(database, id, 'retry_pending')
    const { next_retry_at, retry_count } = await execution(database, id)
    const [row] = await database.query<{ vt: Date }>("select vt from pgmq.q_workflow_execution_queue where message ->> 'execution_id' = $1", [id])
    expect(retry_count).toBe(1)
    expect(row?.vt).toEqual(next_retry_at)
    await until('it is counted', () => executor.stats.retried === 1)
  })

  test('keeps the category that it names', async () => {
    const organizationId = await database.organization()
    const failing = workflow({ name: 'categorised', input: z.object({}), retry: { maxAttempts: 1 } }, () => {
      throw Object.assign(new Error('the bank is closed'), { category: 'EXTERNAL_SERVICE' })
    })
    await database.start(failing)
    const id = await database.client.enqueue(failing, {}, { organizationId })
    await untilStatus(database, id, 'failed')
    expect(await deadLetterOf(database, id)).toMatchObject({ error: 'the bank is closed', error_category: 'EXTERNAL_SERVICE' })
  })

  test('includes a ZodError of data that the handler itself fetched', async () => {
    const organizationId = await database.organization()
    const fetching = workflow({ name: 'fetching', input: z.object({}), retry: quick }, (ctx) => z.object({ ok: z.boolean() }).parse(ctx.attempt === 1 ? {} : { ok: true }))
    await database.start(fetching)
    const id = await database.client.enqueue(fetching, {}, { organizationId })
    expect(await database.client.result(id)).toEqual({ ok: true })
  })
})

describe('dead-lettered at the first attempt is', () => {
  test.each([undefined, 'AUTHORIZATION', 'NOT_FOUND'] as const)('a PermanentError, with its category %s', async (category) => {
    const organizationId = await database.organization()
    const name = `permanent ${category ?? 'without'}`
    const failing = workflow({ name, input: z.object({}) }, async (ctx) => {
      await ctx.step('a', () => {
        throw new PermanentError('no such card', category === undefined ? {} : { category })
      })
    })
    const executor = await database.start(failing)
    const id = await database.client.enqueue(failing, {}, { organizationId })
    await untilStatus(database, id, 'failed')
    expect(await deadLetterOf(database, id)).toMatchObject({ attempt: 1, error: 'no such card', error_category: category ?? 'RUNTIME' })
    await until('it is counted', () => executor.stats.deadLettered === 1)
    expect(executor.stats).toMatchObject({ claimed: 1, retried: 0, inFlight: 0 })
  })

  test('input that fails the schema, with each message and path', async () => {
    const organizationId = await database.organization()
    let ran = false
    const strict = workflow({ name: 'strict', input: z.object({ order: z.string(), lines: z.array(z.object({ cents: z.int().positive() })) }) }, () => {
      ran = true
    })
    await database.start(strict)
    const { id } = one(
      await database.query<{ id: string }>(`select public.fw_enqueue('strict', '{"lines": [{"cents": 1}, {"cents": -1}]}', $1) as id`, [organizationId]),
    )
    await untilStatus(database, id, 'failed')
    const letter = await deadLetterOf(database, id)
    expect(letter).toMatchObject({ attempt: 1, error_category: 'VALIDATION' })
    expect(letter['error']).toBe('order: Invalid input: expected string, received undefined; lines[1].cents: Too small: expected number to be >0')
    expect(ran).toBe(false)
  })

  test('input that fails an asynchronous schema; and input that passes it runs', async () => {
    const organizationId = await database.organization()
    const schema = z.object({ a: z.string().refine(async (a) => (await Promise.resolve(a)) === 'good', 'it must be good') })
    const checking = workflow({ name: 'checking', input: schema }, (_, { a }) => a)
    await database.start(checking)
    const good = await database.client.enqueue('checking', { a: 'good' }, { organizationId })
    const bad = await database.client.enqueue('checking', { a: 'bad' }, { organizationId })
    expect(await database.client.result(good)).toBe('good')
    await untilStatus(database, bad, 'failed')
    expect((await deadLetterOf(database, bad))['error']).toBe('a: it must be good')
  })
})

const unprintable: unknown = Object.create(null)
const hostile = new Proxy(new Error('x'), {
  get: () => {
    throw new Error('do not look')
  },
})

describe('whatever a handler throws ends the attempt and is told as well as it can be:', () => {
  test.each<[string, unknown, string | RegExp]>([
    ['an error without message', new TypeError(), 'TypeError'],
    ['an error without message or name', Object.assign(new Error(), { name: '' }), /./],
    ['a text', 'just a text', 'just a text'],
    ['undefined', undefined, 'undefined'],
    ['null', null, 'null'],
    ['a symbol', Symbol('s'), 'Symbol(s)'],
    ['an object', { message: 'not an Error' }, 'not an Error'],
    ['an object that no text can be made of', unprintable, /./],
    ['an error whose message is a number', Object.assign(new Error(), { message: 42 }), /./],
    ['an error whose properties throw', hostile, /./],
    ['several errors in one', new AggregateError([new Error('first'), new Error('second')]), 'first; second'],
    ['U+0000 and half of a surrogate pair', new Error(`a\0b${'😀'.slice(0, 1)}c`), 'ab\uFFFDc'],
  ])('%s', async (what, thrown, expected) => {
    const organizationId = await database.organization()
    const failing = workflow({ name: `throws ${what}`, input: z.object({}), retry: { maxAttempts: 2, backoff: { initial: 1, max: 1 } } }, () => {
      throw thrown
    })
    await database.start(failing)
    const id = await database.client.enqueue(failing, {}, { organizationId })
    await untilStatus(database, id, 'failed')
    const letter = await deadLetterOf(database, id)
    expect(letter).toMatchObject({ attempt: 2, error_category: 'RUNTIME' })
    if (typeof expected === 'string') expect(letter['error']).toBe(expected)
    else expect(letter['error']).toMatch(expected)
  })

  test('a very long message, cut', async () => {
    const organizationId = await database.organization()
    const failing = workflow({ name: 'verbose', input: z.object({}), retry: { maxAttempts: 1 } }, () => {
      throw new Error('😀'.repeat(1_000_000))
    })
    await database.start(failing)
    const id = await database.client.enqueue(failing, {}, { organizationId })
    await untilStatus(database, id, 'failed')
    const error = String((await deadLetterOf(database, id))['error'])
    expect(error.length).toBeLessThan(11_000)
    expect(error).toMatch(/^😀+\.\.\.$/u)
  })
})
