import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { claim, claimOne, enqueue, execution, executor, one, organization, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

const worker = {
  fw_execution_worker_enabled: false,
  fw_worker_batch_size: 10,
  fw_worker_visibility_timeout_seconds: 30,
  fw_worker_concurrency: 1,
  worker_running: false,
  worker_last_run_at: null,
  worker_last_batch_size: null,
}

async function settings(organizationId: string) {
  return one(await database.query('select * from public.fw_module_settings where organization_id = $1', [organizationId]))
}

describe('fw_save_worker_settings', () => {
  test('creates a row with the documented defaults', async () => {
    const organizationId = randomUUID()
    const saved = await database.query('select * from public.fw_save_worker_settings($1, false)', [organizationId])
    expect(one(saved)).toMatchObject({ organization_id: organizationId, ...worker })
    expect(await settings(organizationId)).toEqual(one(saved))
  })

  test('keeps the values of arguments that are left out', async () => {
    const organizationId = await organization(database, { enabled: false, batchSize: 7, visibilityTimeout: 77, concurrency: 3 })
    await database.query('select public.fw_save_worker_settings($1, true)', [organizationId])
    expect(await settings(organizationId)).toMatchObject({
      fw_execution_worker_enabled: true,
      fw_worker_batch_size: 7,
      fw_worker_visibility_timeout_seconds: 77,
      fw_worker_concurrency: 3,
    })
    await database.query('select public.fw_save_worker_settings($1, true, p_visibility_timeout_seconds => 88)', [organizationId])
    expect(await settings(organizationId)).toMatchObject({
      fw_worker_batch_size: 7,
      fw_worker_visibility_timeout_seconds: 88,
      fw_worker_concurrency: 3,
    })
  })

  test.for([
    ['p_batch_size', 'fw_worker_batch_size', 1, 50],
    ['p_visibility_timeout_seconds', 'fw_worker_visibility_timeout_seconds', 30, 600],
    ['p_concurrency', 'fw_worker_concurrency', 1, 100],
  ] as const)('takes %s from its lowest to its highest value, and nothing outside', async ([argument, column, low, high]) => {
    const organizationId = await organization(database)
    const save = (value: number | null) =>
      database.query(`select public.fw_save_worker_settings($1, true, ${argument} => $2)`, [organizationId, value])
    for (const value of [low, high]) {
      await save(value)
      expect(await settings(organizationId)).toMatchObject({ [column]: value })
    }
    const before = await settings(organizationId)
    for (const value of [low - 1, high + 1, -1, 2147483647]) {
      await expect(save(value)).rejects.toMatchObject({
        code: '23514',
        message: `${column} is ${value}, outside ${low} to ${high}`,
        detail: `Organization ${organizationId}: allowed are whole numbers from ${low} to ${high}.`,
        hint: 'Nothing was changed.',
        schema: 'public',
        table: 'fw_module_settings',
        column,
      })
    }
    await expect(save(null)).rejects.toMatchObject({
      code: '23502',
      message: `${column} must not be NULL`,
      detail: `Organization ${organizationId}: allowed are whole numbers from ${low} to ${high}.`,
      hint: 'Leave the column out to keep its value.',
      column,
    })
    expect(await settings(organizationId)).toEqual(before)
  })

  test('leaves no row behind where the first save is refused', async () => {
    const organizationId = randomUUID()
    await expect(database.query('select public.fw_save_worker_settings($1, true, 51)', [organizationId])).rejects.toMatchObject({
      code: '23514',
    })
    expect(await database.query('select from public.fw_module_settings where organization_id = $1', [organizationId])).toEqual([])
  })

  test('refuses NULL for the organization and for the toggle, naming them', async () => {
    await expect(database.query('select public.fw_save_worker_settings(null, true)')).rejects.toMatchObject({
      code: '23502',
      message: 'p_organization_id must not be NULL',
    })
    const organizationId = await organization(database)
    await expect(database.query('select public.fw_save_worker_settings($1, null)', [organizationId])).rejects.toMatchObject({
      code: '23502',
      message: 'fw_execution_worker_enabled must not be NULL',
      column: 'fw_execution_worker_enabled',
    })
    expect(await settings(organizationId)).toMatchObject({ fw_execution_worker_enabled: true })
  })

  test('leaves other organizations as they are', async () => {
    const other = await organization(database, { batchSize: 3 })
    const before = await settings(other)
    await organization(database, { batchSize: 4 })
    expect(await settings(other)).toEqual(before)
  })
})

describe('a disabled worker', () => {
  test('is what the first enqueue of an unknown organization creates', async () => {
    const organizationId = randomUUID()
    await enqueue(database, workflow(), organizationId)
    expect(await settings(organizationId)).toMatchObject({ organization_id: organizationId, ...worker })
  })

  test('is left as it is by a later enqueue', async () => {
    const organizationId = await organization(database, { batchSize: 3 })
    const before = await settings(organizationId)
    await enqueue(database, workflow(), organizationId)
    expect(await settings(organizationId)).toEqual(before)
  })

  test('leaves its work waiting, untouched, until it is enabled', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const organizationId = await organization(database, { enabled: false })
    const id = one(await enqueue(database, name, organizationId))
    expect(await claim(database, x)).toEqual([])
    expect(await claim(database, x, 500, [organizationId])).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0, started_at: null, batch_id: null })
    await database.query('select public.fw_save_worker_settings($1, true)', [organizationId])
    expect(await claimOne(database, x)).toMatchObject({ execution_id: id, attempt: 1 })
  })

  test('that is switched off after a claim has chosen its organization, but before it has locked it, gives nothing', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const organizationId = await organization(database, { enabled: false })
    const id = one(await enqueue(database, name, organizationId))
    const claimed = await database.query('select * from public.fw_claim_organizations($1, array[$2], array[$2], array[$3::uuid], null, 10, true, false)', [
      x,
      name,
      organizationId,
    ])
    expect(claimed).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'queued' })
  })

  test('starts nothing new once it is switched off, and lets what runs go on', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const organizationId = await organization(database, { batchSize: 1, concurrency: 2 })
    await enqueue(database, name, organizationId, 2)
    const running = one(await claim(database, x, 1))
    await database.query('select public.fw_save_worker_settings($1, false)', [organizationId])
    expect(await claim(database, x)).toEqual([])
    await database.query('select public.fw_report($1, array[$2::uuid], array[$3::uuid], array[true], array[null::jsonb])', [
      x,
      running.execution_id,
      running.batch_id,
    ])
    expect(await execution(database, running.execution_id)).toMatchObject({ status: 'completed' })
    expect(await claim(database, x)).toEqual([])
  })
})
