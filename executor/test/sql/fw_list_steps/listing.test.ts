import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { UsageError } from '../../../src/errors.js'
import { workflow } from '../../../src/workflow.js'
import { executorDatabase, gate, untilStatus } from '../../support/executor.js'
import { execution } from '../../support/sql.js'

const database = executorDatabase()
const input = z.object({})

describe('steps are listed with what they are and how they stand:', () => {
  test('steps, transactions, recorded values, sleeps, events, children and map items', async () => {
    const organizationId = await database.organization()
    const child = workflow({ name: 'list child', input: z.object({ n: z.number() }) }, (_, { n }) => n * 2)
    const parent = workflow({ name: 'list parent', input }, async (ctx) => {
      await ctx.step('plain', () => ({ a: 1 }))
      await ctx.transaction('booked', (sql) => sql.query('select 1'))
      ctx.uuid()
      await ctx.sleep(1)
      await ctx.waitForEvent('go')
      await ctx.waitForEvent('late', { timeout: 1 }).catch(() => undefined)
      await ctx.invoke(child, { n: 1 })
      await ctx.map([{ n: 2 }, { n: 3 }], child, { name: 'all' })
    })
    await database.start([parent, child])
    const id = await database.client.enqueue(parent, {}, { organizationId })
    await database.client.emit(organizationId, 'go', { by: 'Ada' })
    await database.client.result(id)
    const steps = await database.client.steps(id)
    const shown = Object.fromEntries(steps.map(({ name, kind, status, output }) => [name, [kind, status, output]]))
    expect(shown).toMatchObject({
      plain: ['step', 'completed', { a: 1 }],
      booked: ['transaction', 'completed', null],
      uuid: ['value', 'completed', expect.any(String)],
      sleep: ['sleep', 'completed', null],
      'event go': ['event', 'completed', { by: 'Ada' }],
      'event late': ['event', 'skipped', null],
      'list child': ['child', 'completed', 2],
      'all[0]': ['map item', 'completed', 4],
      'all[1]': ['map item', 'completed', 6],
    })
    expect(steps.every(({ startedAt, completedAt, durationMs }) => completedAt !== null && completedAt >= startedAt && durationMs !== null && durationMs >= 0)).toBe(true)
    expect(steps.map(({ index }) => index)).toEqual(steps.map(({ index }) => index).toSorted((a, b) => a - b))
    const invoked = steps.find(({ name }) => name === 'list child')
    expect(invoked).toMatchObject({ childWorkflow: 'list child', childStatus: 'completed' })
    const children = await database.client.children(id)
    // Before Postgres 18 the ids of one millisecond have no order.
    expect(children.toSorted((a, b) => (a.step ?? '').localeCompare(b.step ?? ''))).toMatchObject([
      { step: 'all[0]', status: 'completed' },
      { step: 'all[1]', status: 'completed' },
      { id: invoked?.childId, workflow: 'list child', step: 'list child', status: 'completed', attempt: 1, error: null },
    ])
  })

  test('what an execution waits for, until when, and the state of the child', async () => {
    const organizationId = await database.organization()
    const go = gate()
    const slow = workflow({ name: 'slow child', input }, (ctx) => ctx.step('work', () => go.opened))
    const waiting = workflow({ name: 'waits for three', input }, async (ctx) => {
      await Promise.all([ctx.sleep('1h'), ctx.waitForEvent('approved', { timeout: '2h' }), ctx.invoke(slow, {})])
    })
    await database.start([waiting, slow])
    const id = await database.client.enqueue(waiting, {}, { organizationId })
    await untilStatus(database, id, 'waiting')
    const [child] = await database.client.children(id)
    await untilStatus(database, child?.id ?? '', 'running')
    const { waitsFor } = await database.client.get(id)
    expect(waitsFor).toMatchObject([
      { kind: 'sleep', status: 'waiting', until: expect.any(Date) as unknown, completedAt: null, durationMs: null },
      { kind: 'event', eventKey: 'approved', until: expect.any(Date) as unknown },
      { kind: 'child', childId: child?.id, childWorkflow: 'slow child', childStatus: 'running', until: null },
    ])
    go.open()
    await untilStatus(database, child?.id ?? '', 'completed')
    await database.client.cancel(id)
    expect((await database.client.get(id)).waitsFor).toEqual([])
  })
})

test('steps, attempts and children come in pages that neither miss nor repeat one, and by status', async () => {
  const organizationId = await database.organization()
  const child = workflow({ name: 'page child', input: z.object({ n: z.number() }), retry: { maxAttempts: 1 } }, (_, { n }) => {
    if (n === 3) throw new Error('three')
  })
  const parent = workflow({ name: 'page parent', input, retry: { maxAttempts: 7, backoff: { initial: 1, max: 1 } } }, async (ctx) => {
    for (let at = 0; at < 25; at++) await ctx.step('same', () => at)
    if (ctx.attempt < 7) throw new Error(`attempt ${ctx.attempt}`)
    await ctx.map([0, 1, 2, 3, 4].map((n) => ({ n })), child).catch(() => undefined)
  })
  await database.start([parent, child])
  const id = await database.client.enqueue(parent, {}, { organizationId })
  await untilStatus(database, id, 'completed')
  const names: string[] = []
  for (let after: string | undefined; ; ) {
    const page = await database.client.steps(id, { limit: 10, ...(after === undefined ? {} : { after }) })
    names.push(...page.map(({ name }) => name))
    after = page.at(-1)?.name
    if (page.length < 10) break
  }
  expect(names).toEqual((await database.client.steps(id, { limit: 1000 })).map(({ name }) => name))
  expect(names.slice(0, 25)).toEqual(Array.from({ length: 25 }, (_, at) => (at === 0 ? 'same' : `same#${at + 1}`)))
  expect(await database.client.steps(id, { statuses: ['failed'] })).toMatchObject([{ name: 'map[3]', kind: 'map item', error: 'three', childStatus: 'failed' }])
  const attempts = await database.client.attempts(id, { limit: 4 })
  expect(attempts.map(({ attempt }) => attempt)).toEqual([6, 5, 4, 3])
  expect((await database.client.attempts(id, { before: attempts.at(-1)?.id ?? '', limit: 4 })).map(({ attempt }) => attempt)).toEqual([2, 1])
  const children = await database.client.children(id, { limit: 3 })
  const rest = await database.client.children(id, { after: children.at(-1)?.id ?? '' })
  expect([...children, ...rest].map(({ step }) => step).toSorted()).toEqual([0, 1, 2, 3, 4].map((n) => `map[${n}]`))
  expect(await database.client.children(id, { statuses: ['failed'] })).toMatchObject([{ error: 'three', errorCategory: 'RUNTIME', status: 'failed' }])
})

test('a page of a size out of range, or after a step that is not there, is refused; of an unknown execution nothing is listed', async () => {
  const unknown = '0199a2b4-1c00-7000-8000-00000000acde'
  for (const limit of [0, 1001, 1.5]) {
    await expect(database.client.steps(unknown, { limit })).rejects.toThrow(UsageError)
    await expect(database.client.attempts(unknown, { limit })).rejects.toThrow(UsageError)
    await expect(database.client.children(unknown, { limit })).rejects.toThrow(UsageError)
  }
  for (const list of ['fw_list_steps', 'fw_list_failed_attempts', 'fw_list_children']) {
    await expect(database.query(`select public.${list}($1, p_most => 1001)`, [unknown])).rejects.toMatchObject({ code: '22023' })
    expect(await database.query(`select public.${list}($1)`, [unknown])).toEqual([])
  }
  await expect(database.client.steps(unknown, { after: 'nothing' })).rejects.toMatchObject({ code: 'VALUE_REFUSED' })
})

test('everything that is known of an execution comes with it', async () => {
  const organizationId = await database.organization({ enabled: false })
  const id = await database.client.enqueue('nobody runs it', { a: 1 }, { organizationId, idempotencyKey: 'order A7', metadata: { by: 'Ada' } })
  const row = await execution(database, id)
  expect(await database.client.get(id)).toEqual({
    id, organizationId, workflow: 'nobody runs it', version: null, status: 'queued', attempt: 1, maxAttempts: 5, input: { a: 1 }, output: null, error: null,
    errorCategory: null, metadata: { by: 'Ada' }, idempotencyKey: 'order A7', progress: null, progressText: null, currentStep: null, currentStepSince: null,
    createdAt: expect.any(Date) as unknown, startedAt: null, completedAt: null, nextRetryAt: null, parkedAt: null, parkedReason: null, deadlineAt: null, deadlineLeftMs: null, compensating: null,
    deadLetterId: null, discardedAt: null, parentId: null, parentStep: null, batchId: row.batch_id, executor: null, waitsFor: [],
  })
})
