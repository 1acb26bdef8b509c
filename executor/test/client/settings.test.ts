import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { RefusedError, UsageError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase } from '../support/executor.js'

const database = executorDatabase()

describe('saveSettings', () => {
  test('enables an organization, and its work starts', async () => {
    const echo = workflow({ name: 'echo', input: z.object({}) }, () => 'done')
    await database.start(echo)
    const organizationId = randomUUID()
    const id = await database.client.enqueue(echo, {}, { organizationId })
    expect(await database.client.saveSettings(organizationId, { enabled: true })).toEqual({ enabled: true, batchSize: 10, visibilityTimeoutMs: 30_000, concurrency: 1 })
    expect(await database.client.result(id)).toBe('done')
  })

  test('keeps what is left out', async () => {
    const organizationId = randomUUID()
    await database.client.saveSettings(organizationId, { enabled: true, batchSize: 25, visibilityTimeout: '2m', concurrency: 7 })
    expect(await database.client.saveSettings(organizationId, { enabled: false, concurrency: 8 })).toEqual({ enabled: false, batchSize: 25, visibilityTimeoutMs: 120_000, concurrency: 8 })
  })

  test('refuses a value out of range with its name and range, and saves nothing', async () => {
    const organizationId = randomUUID()
    const failure = await database.client.saveSettings(organizationId, { enabled: true, batchSize: 51 }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(RefusedError)
    expect(failure).toMatchObject({ code: 'VALUE_REFUSED', message: expect.stringMatching(/fw_worker_batch_size.*51/) as string })
    await expect(database.client.saveSettings(organizationId, { enabled: true, visibilityTimeout: '30.5s' })).rejects.toThrow(UsageError)
    expect(await database.query('select from public.fw_module_settings where organization_id = $1', [organizationId])).toEqual([])
  })
})
