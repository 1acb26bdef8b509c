import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { one, organization, sqlDatabase } from '../../support/sql.js'

const database = sqlDatabase()

const ranges = [
  ['fw_worker_batch_size', 1, 50],
  ['fw_worker_visibility_timeout_seconds', 30, 600],
  ['fw_worker_concurrency', 1, 100],
] as const

async function settings(organizationId: string) {
  return database.query('select * from public.fw_module_settings where organization_id = $1', [organizationId])
}

describe('a direct UPDATE of fw_module_settings', () => {
  test.for(ranges)('of %s takes its range and refuses what is outside', async ([column, low, high]) => {
    const organizationId = await organization(database)
    const write = (value: number | null) =>
      database.query(`update public.fw_module_settings set ${column} = $2 where organization_id = $1`, [organizationId, value])
    for (const value of [low, high]) {
      await write(value)
      expect(one(await settings(organizationId))).toMatchObject({ [column]: value })
    }
    const before = await settings(organizationId)
    for (const value of [low - 1, high + 1]) {
      await expect(write(value)).rejects.toMatchObject({
        code: '23514',
        message: `${column} is ${value}, outside ${low} to ${high}`,
        detail: `Organization ${organizationId}: allowed are whole numbers from ${low} to ${high}.`,
        hint: 'Nothing was changed.',
        table: 'fw_module_settings',
        column,
      })
    }
    await expect(write(null)).rejects.toMatchObject({ code: '23502', message: `${column} must not be NULL`, column })
    expect(await settings(organizationId)).toEqual(before)
  })

  test('refuses NULL for the toggle', async () => {
    const organizationId = await organization(database)
    await expect(
      database.query('update public.fw_module_settings set fw_execution_worker_enabled = null where organization_id = $1', [organizationId]),
    ).rejects.toMatchObject({
      code: '23502',
      message: 'fw_execution_worker_enabled must not be NULL',
      detail: `Organization ${organizationId}: the worker is either enabled (true) or disabled (false).`,
      column: 'fw_execution_worker_enabled',
    })
  })

  test('of many organizations is refused as a whole when one value is out of range', async () => {
    const small = await organization(database, { batchSize: 10 })
    const large = await organization(database, { batchSize: 40 })
    await expect(
      database.query(
        'update public.fw_module_settings set fw_worker_batch_size = fw_worker_batch_size * 2 where organization_id = any ($1::uuid[])',
        [[small, large]],
      ),
    ).rejects.toMatchObject({ code: '23514', message: 'fw_worker_batch_size is 80, outside 1 to 50' })
    expect(one(await settings(small))).toMatchObject({ fw_worker_batch_size: 10 })
    expect(one(await settings(large))).toMatchObject({ fw_worker_batch_size: 40 })
  })

  test('moves updated_at', async () => {
    const organizationId = await organization(database)
    const [before] = await settings(organizationId)
    await database.query('update public.fw_module_settings set fw_worker_batch_size = 11 where organization_id = $1', [organizationId])
    const [after] = await settings(organizationId)
    expect((after?.['updated_at'] as Date).getTime()).toBeGreaterThanOrEqual((before?.['updated_at'] as Date).getTime())
    expect(after?.['updated_at']).not.toEqual(after?.['created_at'])
  })
})

describe('a direct INSERT into fw_module_settings', () => {
  test('fills in the documented defaults', async () => {
    const organizationId = randomUUID()
    await database.query('insert into public.fw_module_settings (organization_id) values ($1)', [organizationId])
    expect(one(await settings(organizationId))).toMatchObject({
      fw_execution_worker_enabled: false,
      fw_worker_batch_size: 10,
      fw_worker_visibility_timeout_seconds: 30,
      fw_worker_concurrency: 1,
      worker_running: false,
    })
  })

  test.for(ranges)('refuses %s out of range or NULL', async ([column, low, high]) => {
    const organizationId = randomUUID()
    const write = (value: number | null) =>
      database.query(`insert into public.fw_module_settings (organization_id, ${column}) values ($1, $2)`, [organizationId, value])
    for (const value of [low - 1, high + 1]) {
      await expect(write(value)).rejects.toMatchObject({
        code: '23514',
        message: `${column} is ${value}, outside ${low} to ${high}`,
        column,
      })
    }
    await expect(write(null)).rejects.toMatchObject({ code: '23502', message: `${column} must not be NULL`, column })
    expect(await settings(organizationId)).toEqual([])
  })
})
