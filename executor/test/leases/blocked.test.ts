import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { pino } from 'pino'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, until } from '../support/executor.js'

const database = executorDatabase()

/** A log that is kept. */
function kept() {
  const lines: Record<string, unknown>[] = []
  const write = (line: string) => {
    lines.push(JSON.parse(line) as Record<string, unknown>)
  }
  return { logger: pino({ level: 'warn' }, { write }), blocked: () => lines.filter(({ msg }) => String(msg).startsWith('the event loop was blocked')) }
}

const CHECK_MS = 1000

test('a step that keeps the event loop to itself for seconds is warned about once, with how long', async () => {
  const organizationId = await database.organization()
  const log = kept()
  const blockedMs = 2500
  const blocking = workflow({ name: 'blocking', input: z.object({}) }, async (ctx) => {
    // The first look of the leases is what the second is compared with.
    await ctx.step('wait', () => sleep(2 * CHECK_MS))
    await ctx.step('block', () => {
      const end = performance.now() + blockedMs
      while (performance.now() < end);
    })
    await ctx.step('go on', () => sleep(2 * CHECK_MS))
  })
  await database.start(blocking, { logger: log.logger })
  await database.client.result(await database.client.enqueue(blocking, {}, { organizationId }))
  await until('it is warned about', () => log.blocked().length > 0)
  expect(log.blocked()).toEqual([expect.objectContaining({ level: 40, blockedMs: expect.any(Number) as unknown })])
  // The look was due at most one interval after the blocking began.
  expect(Number(log.blocked()[0]?.['blockedMs'])).toBeGreaterThan(blockedMs - CHECK_MS - 50)
})

test('a step that awaits something for as long is not', async () => {
  const organizationId = await database.organization()
  const log = kept()
  const patient = workflow({ name: 'patient', input: z.object({}) }, async (ctx) => ctx.step('wait', () => sleep(2500 + 2 * CHECK_MS, 'waited')))
  await database.start(patient, { logger: log.logger })
  expect(await database.client.result(await database.client.enqueue(patient, {}, { organizationId }))).toBe('waited')
  expect(log.blocked()).toEqual([])
})
