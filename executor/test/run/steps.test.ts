import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Context } from '../../src/context.js'
import { StepTimeoutError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { deadLetterOf, executorDatabase, gate, stepNames, steps, until, untilStatus } from '../support/executor.js'
import { execution } from '../support/sql.js'

const database = executorDatabase()
const quick = { backoff: { initial: 1, max: 1 } }

describe('a workflow of several steps', () => {
  test.each([0, 1, 3, 10])('of %d completes, and each step is recorded once', async (count) => {
    const organizationId = await database.organization()
    const counting = workflow({ name: `counting ${count}`, input: z.object({ start: z.number() }) }, async (ctx, { start }) => {
      let sum = start
      for (let index = 0; index < count; index++) sum = await ctx.step(`add ${index}`, () => sum + index)
      return { sum }
    })
    await database.start(counting)
    const id = await database.client.enqueue(counting, { start: 100 }, { organizationId })
    expect(await database.client.result(id)).toEqual({ sum: 100 + (count * (count - 1)) / 2 })
    const recorded = await steps(database, id)
    expect(recorded.map(({ node_id, step_index, attempt_number, status }) => [node_id, step_index, attempt_number, status])).toEqual(
      Array.from({ length: count }, (_, index) => [`add ${index}`, index, 1, 'completed']),
    )
    expect(recorded.at(-1)?.output_data).toBe(count === 0 ? undefined : 100 + (count * (count - 1)) / 2)
  })

  test('keeps how long each step took', async () => {
    const organizationId = await database.organization()
    const slow = workflow({ name: 'slow', input: z.object({}) }, async (ctx) => {
      await ctx.step('pause', () => sleep(60))
      await ctx.step('none', () => undefined)
    })
    await database.start(slow)
    const id = await database.client.enqueue(slow, {}, { organizationId })
    await database.client.result(id)
    const [pause, none] = await steps(database, id)
    expect(pause?.duration_ms).toBeGreaterThanOrEqual(55)
    expect(pause?.duration_ms).toBeLessThan(30_000)
    expect(pause && pause.completed_at.getTime() - pause.started_at.getTime()).toBe(pause?.duration_ms)
    expect(none?.duration_ms).toBeLessThan(pause?.duration_ms ?? 0)
  })
})

describe('a later attempt', () => {
  test('does not run completed steps again: it gets their results', async () => {
    const organizationId = await database.organization()
    const ran: string[] = []
    const resuming = workflow({ name: 'resuming', input: z.object({}), retry: quick }, async (ctx) => {
      const a = await ctx.step('a', () => (ran.push('a'), { value: [1, 'x', null] }))
      const b = await ctx.step('b', () => (ran.push('b'), 2.5))
      await ctx.step('c', () => {
        ran.push('c')
        if (ctx.attempt < 3) throw new Error(`attempt ${ctx.attempt} breaks`)
      })
      return { a, b, attempt: ctx.attempt }
    })
    const executor = await database.start(resuming)
    const id = await database.client.enqueue(resuming, {}, { organizationId })
    expect(await database.client.result(id)).toEqual({ a: { value: [1, 'x', null] }, b: 2.5, attempt: 3 })
    expect(ran).toEqual(['a', 'b', 'c', 'c', 'c'])
    expect((await steps(database, id)).map(({ node_id, attempt_number, step_index }) => [node_id, attempt_number, step_index])).toEqual([
      ['a', 1, 0],
      ['b', 1, 1],
      ['c', 3, 2],
    ])
    await until('everything is counted', () => executor.stats.completed === 1)
    expect(executor.stats).toEqual({ claimed: 3, completed: 1, retried: 2, deadLettered: 0, waiting: 0, parked: 0, released: 0, fenced: 0, ended: 0, inFlight: 0 })
  })

  test('goes on after steps that completed just before the handler threw', async () => {
    const organizationId = await database.organization()
    const ran: string[] = []
    const throwing = workflow({ name: 'throwing', input: z.object({}), retry: quick }, async (ctx) => {
      await ctx.step('only', () => ran.push('only'))
      if (ctx.attempt === 1) throw new Error('right after the step')
    })
    await database.start(throwing)
    const id = await database.client.enqueue(throwing, {}, { organizationId })
    await database.client.result(id)
    expect(ran).toEqual(['only'])
  })

  test('of parallel steps goes on with those that completed, also with one that completed after another had failed', async () => {
    const organizationId = await database.organization()
    const ran: string[] = []
    const parallel = workflow({ name: 'parallel', input: z.object({}), retry: quick }, async (ctx) =>
      Promise.all([
        ctx.step('fast', () => ran.push('fast')),
        ctx.step('broken', () => {
          ran.push('broken')
          if (ctx.attempt === 1) throw new Error('one of three')
          return 0
        }),
        ctx.step('late', async () => {
          ran.push('late')
          await sleep(100)
          return 0
        }),
      ]).then(() => ctx.attempt),
    )
    await database.start(parallel)
    const id = await database.client.enqueue(parallel, {}, { organizationId })
    expect(await database.client.result(id)).toBe(2)
    expect(ran).toEqual(['fast', 'broken', 'late', 'broken'])
    expect((await steps(database, id)).map(({ node_id, attempt_number }) => [node_id, attempt_number])).toEqual([
      ['fast', 1],
      ['broken', 2],
      ['late', 1],
    ])
  })
})

describe('step names', () => {
  test('that are used again are numbered, also around names that look numbered', async () => {
    const organizationId = await database.organization()
    const named = workflow({ name: 'named', input: z.object({}), retry: quick }, async (ctx) => {
      const results: unknown[] = []
      for (const [index, name] of ['a', 'a#2', 'a', 'b', 'b', 'b#2', 'b'].entries()) results.push(await ctx.step(name, () => `${name} at ${index}`))
      if (ctx.attempt === 1) throw new Error('again')
      return results
    })
    await database.start(named)
    const id = await database.client.enqueue(named, {}, { organizationId })
    const expected = ['a at 0', 'a#2 at 1', 'a at 2', 'b at 3', 'b at 4', 'b#2 at 5', 'b at 6']
    expect(await database.client.result(id)).toEqual(expected)
    const recorded = await steps(database, id)
    expect(recorded.map(({ output_data }) => output_data)).toEqual(expected)
    expect(recorded.map(({ node_id }) => node_id).slice(0, 5)).toEqual(['a', 'a#2', 'a#3', 'b', 'b#2'])
    expect(recorded.map(({ attempt_number }) => attempt_number)).toEqual(expected.map(() => 1))
  })

  test.each<[string, string]>([
    ['empty', ''],
    ['longer than 200 characters', 'a'.repeat(201)],
    ['with U+0000', 'a\0b'],
    ['with half of a surrogate pair', '😀'.slice(0, 1)],
  ])('that cannot be kept dead-letter the execution: %s', async (what, name) => {
    const organizationId = await database.organization()
    const misnamed = workflow({ name: `misnamed ${what}`, input: z.object({}), retry: quick }, (ctx) => ctx.step(name, () => 1))
    await database.start(misnamed)
    const id = await database.client.enqueue(misnamed, {}, { organizationId })
    await untilStatus(database, id, 'failed')
    expect(await deadLetterOf(database, id)).toMatchObject({ attempt: 1, error: expect.stringContaining('step name') as string })
    expect(await stepNames(database, id)).toEqual([])
  })

  test('of 200 characters of four bytes are kept', async () => {
    const organizationId = await database.organization()
    const long = workflow({ name: 'long names', input: z.object({}) }, (ctx) => ctx.step('😀'.repeat(100), () => 1))
    await database.start(long)
    const id = await database.client.enqueue(long, {}, { organizationId })
    expect(await database.client.result(id)).toBe(1)
  })
})

test('a step that takes longer than its timeout fails the attempt, and its signal fires', async () => {
  const organizationId = await database.organization()
  const reasons: unknown[] = []
  const timed = workflow({ name: 'timed', input: z.object({}), retry: quick }, async (ctx) => {
    await ctx.step(
      'wait',
      async ({ signal }) => {
        if (ctx.attempt > 1) return
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve)
        })
        reasons.push(signal.reason)
        await sleep(10)
      },
      { timeout: '50ms' },
    )
    return { attempt: ctx.attempt, aborted: ctx.signal.aborted }
  })
  await database.start(timed)
  const id = await database.client.enqueue(timed, {}, { organizationId })
  await untilStatus(database, id, 'completed')
  expect(reasons).toEqual([expect.any(StepTimeoutError)])
  expect(await execution(database, id)).toMatchObject({ output: { attempt: 2, aborted: false }, last_error: "step 'wait' did not finish within 50 ms", error_category: 'TIMEOUT' })
})

test('a step with a timeout of months does not fail at once', async () => {
  const organizationId = await database.organization()
  const patient = workflow({ name: 'patient', input: z.object({}) }, (ctx) => ctx.step('wait', () => sleep(50, 'waited'), { timeout: '60d' }))
  await database.start(patient)
  const id = await database.client.enqueue(patient, {}, { organizationId })
  expect(await database.client.result(id)).toBe('waited')
  expect((await steps(database, id)).map(({ attempt_number }) => attempt_number)).toEqual([1])
})

describe('a step that the handler did not wait for', () => {
  test('is finished and recorded before the execution is', async () => {
    const organizationId = await database.organization()
    const hasty = workflow({ name: 'hasty', input: z.object({}) }, (ctx) => {
      void ctx.step('forgotten', () => sleep(100, 'done'))
      return 'returned'
    })
    await database.start(hasty)
    const id = await database.client.enqueue(hasty, {}, { organizationId })
    expect(await database.client.result(id)).toBe('returned')
    expect((await steps(database, id)).map(({ output_data }) => output_data)).toEqual(['done'])
  })

  test('and that fails hurts neither the execution nor the executor', async () => {
    const organizationId = await database.organization()
    const losing = workflow({ name: 'losing', input: z.object({}) }, (ctx) =>
      Promise.race([
        ctx.step('winner', () => 'won'),
        ctx.step('loser', async () => {
          await sleep(30)
          throw new Error('too late to matter')
        }),
      ]),
    )
    await database.start(losing)
    const id = await database.client.enqueue(losing, {}, { organizationId })
    expect(await database.client.result(id)).toBe('won')
    expect(await stepNames(database, id)).toEqual(['winner'])
  })

  test('is refused when it starts after the handler has returned', async () => {
    const organizationId = await database.organization()
    const over = gate()
    let context: Context | undefined
    const late = workflow({ name: 'late', input: z.object({}) }, (ctx) => {
      context = ctx
    })
    await database.start(late)
    const id = await database.client.enqueue(late, {}, { organizationId })
    await database.client.result(id)
    await expect(context?.step('late', over.open)).rejects.toThrow(/after the handler had returned/)
    await expect(context?.transaction('late', async () => { over.open(); await over.opened })).rejects.toThrow(/after the handler had returned/)
    expect(over.isOpen).toBe(false)
    expect(await stepNames(database, id)).toEqual([])
  })
})
