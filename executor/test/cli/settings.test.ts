import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { fw } from './fw.js'

const database = testDatabase()

async function saved(organizationId: string): Promise<unknown> {
  const [row] = await database.query(
    `select fw_execution_worker_enabled as enabled, fw_worker_batch_size as batch, fw_worker_visibility_timeout_seconds as timeout,
       fw_worker_concurrency as concurrency from public.fw_module_settings where organization_id = $1`,
    [organizationId],
  )
  return row
}

it('enables an organization that nobody has heard of, with the defaults', async () => {
  const organization = randomUUID()
  const { code, stdout } = await fw(['enable', organization], { url: database.url })
  expect(code).toBe(0)
  expect(stdout).toBe(`enabled ${organization}: batch size 10, visibility timeout 30 s, concurrency 1\n`)
  expect(await saved(organization)).toEqual({ enabled: true, batch: 10, timeout: 30, concurrency: 1 })
})

it('prints what is saved as JSON when it is asked to', async () => {
  const organizationId = randomUUID()
  const { stdout } = await fw(['enable', organizationId, '--concurrency', '4', '--json'], { url: database.url })
  expect(JSON.parse(stdout)).toEqual({ organizationId, enabled: true, batchSize: 10, visibilityTimeout: 30, concurrency: 4 })
  expect(JSON.parse((await fw(['disable', organizationId, '--json'], { url: database.url })).stdout)).toMatchObject({ enabled: false, concurrency: 4 })
})

it('changes what is given and keeps the rest', async () => {
  const organization = randomUUID()
  await fw(['enable', organization, '--batch-size', '25', '--visibility-timeout', '120'], { url: database.url })
  await fw(['enable', organization, '--concurrency', '3'], { url: database.url })
  expect(await saved(organization)).toEqual({ enabled: true, batch: 25, timeout: 120, concurrency: 3 })
  const { stdout } = await fw(['disable', organization], { url: database.url })
  expect(stdout).toMatch(/^disabled .*: batch size 25, visibility timeout 120 s, concurrency 3\n$/)
  expect(await saved(organization)).toEqual({ enabled: false, batch: 25, timeout: 120, concurrency: 3 })
})

it('passes on what the database says of a value out of range, and changes nothing', async () => {
  const organization = randomUUID()
  const { code, stdout, stderr } = await fw(['enable', organization, '--batch-size', '51'], { url: database.url })
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain('fw_worker_batch_size is 51, outside 1 to 50')
  expect(await saved(organization)).toBeUndefined()
})

it('takes a uuid of any version, in capitals too', async () => {
  const organization = 'ABCDEF00-0000-0000-0000-000000000001'
  expect((await fw(['enable', organization], { url: database.url })).code).toBe(0)
  expect(await saved(organization)).toMatchObject({ enabled: true })
})
