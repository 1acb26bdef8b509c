import { describe, expect, test } from 'vitest'
import { claim, enqueue, execution, executor, one, organization, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function offer(): Promise<string[]> {
  const rows = await database.query<{ batch_id: string }>('select batch_id from public.fw_offer_batches() as batch_id')
  return rows.map((row) => row.batch_id)
}

async function scene(count = 3) {
  const name = workflow()
  const organizationId = await organization(database, { batchSize: 10, visibilityTimeout: 40 })
  const [x, y] = [await executor(database, name), await executor(database, name)]
  const ids = await enqueue(database, name, organizationId, count)
  return { name, organizationId, x, y, ids }
}

describe('offering', () => {
  test('claims waiting work for no one in particular and NOTIFYs the id of each batch', async () => {
    const { organizationId, ids } = await scene(3)
    const other = await scene(2)
    const heard: string[] = []
    const listener = await database.pool.connect()
    try {
      listener.on('notification', ({ channel, payload }) => heard.push(`${channel} ${payload ?? ''}`))
      await listener.query('listen fw_batch')
      const batches = await offer()
      await listener.query('select')
      expect(batches).toHaveLength(2)
      expect(heard.sort()).toEqual(batches.map((id) => `fw_batch "${id}"`).sort())
      const runs = await database.query('select organization_id, executor_id, taken_at, size from public.fw_worker_runs where id = any ($1::uuid[]) order by size', [
        batches,
      ])
      expect(runs).toEqual([
        { organization_id: other.organizationId, executor_id: null, taken_at: null, size: 2 },
        { organization_id: organizationId, executor_id: null, taken_at: null, size: 3 },
      ])
    } finally {
      listener.removeAllListeners('notification')
      listener.release(true)
    }
    for (const id of ids) expect(await execution(database, id)).toMatchObject({ status: 'running' })
    expect(await offer()).toEqual([])
  })

  test('offers nothing to an executor that has registered and claimed nothing yet: it may not listen', async () => {
    const name = workflow()
    const organizationId = await organization(database)
    const id = one(await enqueue(database, name, organizationId))
    const { x } = one(await database.query<{ x: string }>('select public.fw_register_executor($1, $2) as x', ['new', JSON.stringify([{ name }])]))
    expect(await offer()).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'queued' })
    expect(await claim(database, x, 2)).toHaveLength(1)
    const later = one(await enqueue(database, name, organizationId))
    expect(await offer()).toHaveLength(1)
    expect(await execution(database, later)).toMatchObject({ status: 'running' })
  })

  test('does nothing while no executor lives', async () => {
    const name = workflow()
    const organizationId = await organization(database)
    const id = one(await enqueue(database, name, organizationId))
    expect(await offer()).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0 })
    const x = await executor(database, name)
    await database.query("update public.fw_executors set last_seen_at = now() - interval '31 seconds' where id = $1", [x])
    expect(await offer()).toEqual([])
    await database.query('update public.fw_executors set last_seen_at = now() where id = $1', [x])
    expect(await offer()).toHaveLength(1)
  })

  test('leaves workflows that no live executor knows', async () => {
    const { organizationId, ids } = await scene(1)
    const unknown = one(await enqueue(database, workflow(), organizationId))
    const batch = one(await offer())
    expect(await execution(database, unknown)).toMatchObject({ status: 'queued' })
    expect(await execution(database, ids[0] ?? '')).toMatchObject({ status: 'running', batch_id: batch })
  })
})
