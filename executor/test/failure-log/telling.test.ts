import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { PermanentError } from '../../src/errors.js'
import type { Logger } from '../../src/logger.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, gate, until, untilStatus } from '../support/executor.js'

const database = executorDatabase()
const input = z.object({})

interface Line extends Record<string, unknown> {
  level: string
  message: string
}

function collecting(): { logger: Logger; lines: Line[] } {
  const lines: Line[] = []
  const note = (level: string) => (fields: object | string, message?: string) => {
    lines.push(typeof fields === 'string' ? { level, message: fields } : { ...fields, level, message: message ?? '' })
  }
  return { logger: { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') }, lines }
}

test('a failed attempt is a warning with step, stack and when it is tried again; a dead letter is an error', async () => {
  const organizationId = await database.organization()
  const { logger, lines } = collecting()
  const failing = workflow({ name: 'fails twice', input, retry: { maxAttempts: 2, backoff: { initial: 5, max: 5 } } }, (ctx) =>
    ctx.step('charge', () => {
      throw Object.assign(new Error(`attempt ${ctx.attempt} broke`), { category: 'EXTERNAL_SERVICE' })
    }),
  )
  await database.start(failing, { logger })
  const id = await database.client.enqueue(failing, {}, { organizationId })
  await untilStatus(database, id, 'failed')
  await until('both are told', () => lines.some(({ level }) => level === 'error'))
  const about = lines.filter((line) => line['executionId'] === id)
  const common = { executionId: id, workflowName: 'fails twice', organizationId, step: 'charge', category: 'EXTERNAL_SERVICE' }
  const err = (message: string) => ({ message, stack: expect.stringMatching(new RegExp(`^Error: ${message}\\n +at `)) as unknown })
  expect(about).toEqual([
    { ...common, level: 'warn', message: 'an attempt failed, the execution is tried again', attempt: 1, retryInMs: expect.any(Number) as unknown, err: err('attempt 1 broke') },
    { ...common, level: 'error', message: 'an attempt failed, the execution has ended for good', attempt: 2, permanent: false, err: err('attempt 2 broke') },
  ])
})

test('both show in a process of one own whose executor was given no logger', async () => {
  const organizationId = await database.organization()
  const id = await database.client.enqueue('fails in a process', {}, { organizationId })
  const script = fileURLToPath(new URL('../fixtures/failing.ts', import.meta.url))
  const env: NodeJS.ProcessEnv = { ...process.env, DATABASE_URL: database.url, EXECUTION_ID: id }
  delete env['FW_LOG_LEVEL']
  const { stderr } = spawnSync(process.execPath, ['--import', 'tsx', script], { env, encoding: 'utf8', timeout: 50_000 })
  const lines = stderr.trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(lines).toMatchObject([
    { level: 40, executionId: id, attempt: 1, step: 'charge', err: { message: 'no card', stack: expect.stringContaining('at ') as unknown }, retryInMs: expect.any(Number) as unknown },
    { level: 50, executionId: id, attempt: 2, step: 'charge', err: { message: 'no card', stack: expect.stringContaining('at ') as unknown } },
  ])
})

test('what the redactor takes out is not logged', async () => {
  const organizationId = await database.organization()
  const { logger, lines } = collecting()
  const leaking = workflow({ name: 'leaks into the log', input }, () => {
    throw new PermanentError('hunter2', { cause: new Error('it was hunter2') })
  })
  await database.start(leaking, { logger, redact: (text) => text.replaceAll('hunter2', '***') })
  const id = await database.client.enqueue(leaking, {}, { organizationId })
  await untilStatus(database, id, 'failed')
  await until('it is told', () => lines.some(({ level }) => level === 'error'))
  expect(JSON.stringify(lines)).toContain('it was ***')
  expect(JSON.stringify(lines)).not.toContain('hunter2')
})

test('a step that nobody awaits and that fails after its handler has returned is logged', async () => {
  const organizationId = await database.organization()
  const { logger, lines } = collecting()
  const returned = gate()
  const forgetting = workflow({ name: 'forgets', input }, (ctx) => {
    void ctx.step('audit', async () => {
      await returned.opened
      throw new Error('no disk')
    })
    setTimeout(() => {
      returned.open()
    }, 20)
    return 'done'
  })
  await database.start(forgetting, { logger })
  const id = await database.client.enqueue(forgetting, {}, { organizationId })
  expect(await database.client.result(id)).toBe('done')
  expect(lines.filter(({ level }) => level === 'warn')).toMatchObject([
    { executionId: id, workflowName: 'forgets', attempt: 1, step: 'audit', err: expect.objectContaining({ message: 'no disk', stack: expect.stringContaining('at ') as unknown }) as unknown },
  ])
})

test('a failure for good whose steps are undone first is a warning, and an error when the execution has ended', async () => {
  const organizationId = await database.organization()
  const { logger, lines } = collecting()
  const undoing = workflow({ name: 'undoes when it fails', input }, async (ctx) => {
    await ctx.step('reserve', () => 1, { compensate: () => undefined })
    await ctx.step('charge', () => Promise.reject(new PermanentError('declined')))
  })
  await database.start(undoing, { logger })
  const id = await database.client.enqueue(undoing, {}, { organizationId })
  await untilStatus(database, id, 'failed')
  await until('its end is told', () => lines.some(({ level }) => level === 'error'))
  expect(lines.filter((line) => line['executionId'] === id).map(({ level, message, step }) => [level, message, step])).toEqual([
    ['warn', 'an attempt failed, the execution has failed for good and is undone', 'charge'],
    ['error', 'an execution that has failed for good was undone and has ended', undefined],
  ])
})

test('a cancelled execution that was undone is no error', async () => {
  const organizationId = await database.organization()
  const { logger, lines } = collecting()
  const waiting = workflow({ name: 'undoes when cancelled', input }, async (ctx) => {
    await ctx.step('reserve', () => 1, { compensate: () => undefined })
    await ctx.waitForEvent('never')
  })
  await database.start(waiting, { logger })
  const id = await database.client.enqueue(waiting, {}, { organizationId })
  await untilStatus(database, id, 'waiting')
  await database.client.cancel(id, 'not needed', { compensate: true })
  await untilStatus(database, id, 'cancelled')
  await until('its end is told', () => lines.some((line) => line['executionId'] === id))
  expect(lines.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([])
})
