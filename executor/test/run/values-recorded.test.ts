import { expect, test } from 'vitest'
import { z } from 'zod'
import { UsageError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, stepNames, until } from '../support/executor.js'

const database = executorDatabase()

test('the time, numbers and uuids are the same in each run of an execution', async () => {
  const organizationId = await database.organization()
  const seen: unknown[] = []
  const recorded = workflow({ name: 'recorded', input: z.object({}), retry: { backoff: { initial: 0 } } }, async (ctx) => {
    const values = [ctx.now().toISOString(), ctx.random(), ctx.random(), ctx.uuid()]
    await ctx.step('step', () => 1)
    seen.push(values)
    if (ctx.attempt === 1) throw new Error('once')
    return values
  })
  await database.start(recorded)
  const id = await database.client.enqueue(recorded, {}, { organizationId })
  const values = await database.client.result(id)
  expect(seen).toEqual([values, values])
  expect(values[1]).not.toBe(values[2])
  expect(await stepNames(database, id)).toEqual(['now', 'random', 'random#2', 'uuid', 'step'])
})

test('lines of the log say which execution, workflow and attempt they are about', async () => {
  const organizationId = await database.organization()
  const lines: unknown[] = []
  const note = (fields: object | string, message?: string) => void lines.push([fields, message])
  const talking = workflow({ name: 'talking', input: z.object({}) }, (ctx) => {
    ctx.log.info({ order: 7 }, 'shipping')
    ctx.log.warn('slow today')
  })
  await database.start(talking, { logger: { debug: () => undefined, info: note, warn: note, error: note } })
  const id = await database.client.enqueue(talking, {}, { organizationId })
  await database.client.result(id)
  const bound = { executionId: id, workflowName: 'talking', attempt: 1 }
  expect(lines).toContainEqual([{ ...bound, order: 7 }, 'shipping'])
  expect(lines).toContainEqual([bound, 'slow today'])
})

test('progress is seen while the handler runs', async () => {
  const organizationId = await database.organization()
  let go: () => void = () => undefined
  const opened = new Promise<void>((resolve) => (go = resolve))
  const loading = workflow({ name: 'loading', input: z.object({}) }, async (ctx) => {
    expect(() => {
      ctx.progress(1.5)
    }).toThrow(UsageError)
    ctx.progress(0.1, 'begun')
    ctx.progress(0.5, 'half of it')
    await ctx.step('rest', () => opened)
  })
  await database.start(loading)
  const id = await database.client.enqueue(loading, {}, { organizationId })
  await until('it is seen', async () => (await database.client.get(id)).progress === 0.5)
  expect(await database.client.get(id)).toMatchObject({ progressText: 'half of it', status: 'running', attempt: 1 })
  go()
  await database.client.result(id)
})

test('what the redactor takes out is kept nowhere, and stacks are kept only when asked for', async () => {
  const organizationId = await database.organization()
  const leaking = workflow({ name: 'leaking', input: z.object({}), retry: { maxAttempts: 1 } }, () => {
    throw new Error('login with hunter2 failed')
  })
  const quiet = await database.start(leaking, { redact: (text) => text.replaceAll('hunter2', '***') })
  const first = await database.client.enqueue(leaking, {}, { organizationId })
  await expect(database.client.result(first)).rejects.toThrow(/login with \*\*\* failed$/)
  await quiet.stop()
  await database.start(leaking, { errorStacks: true })
  const second = await database.client.enqueue(leaking, {}, { organizationId })
  await expect(database.client.result(second)).rejects.toThrow(/login with hunter2 failed\n +at /)
})

test('an error whose redactor throws is not kept as it was', async () => {
  const organizationId = await database.organization()
  const leaking = workflow({ name: 'leaking more', input: z.object({}), retry: { maxAttempts: 1 } }, () => {
    throw new Error('hunter2')
  })
  await database.start(leaking, { redact: () => { throw new Error('broken redactor') } })
  const id = await database.client.enqueue(leaking, {}, { organizationId })
  await expect(database.client.result(id)).rejects.toThrow('an error whose text could not be made')
})
