import { describe, expect, test } from 'vitest'
import { type Claimed, claim, enqueue, executor, expireLeases, one, organization, report, sqlDatabase, untilBlocked, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function offer(): Promise<string[]> {
  const rows = await database.query<{ batch_id: string }>('select batch_id from public.fw_offer_batches() as batch_id')
  return rows.map((row) => row.batch_id)
}

const take = (x: string, batchId: string, on: Pick<typeof database, 'query'> = database) =>
  on.query<Claimed>('select * from public.fw_take_batch($1, $2)', [x, batchId])

async function scene(count = 3) {
  const name = workflow()
  const organizationId = await organization(database, { batchSize: 10, visibilityTimeout: 40 })
  const [x, y] = [await executor(database, name), await executor(database, name)]
  const ids = await enqueue(database, name, organizationId, count)
  return { name, organizationId, x, y, ids }
}

describe('taking a batch that was offered', () => {
  test('hands over what a claim would have', async () => {
    const { name, organizationId, x, ids } = await scene(3)
    const batch = one(await offer())
    const taken = await take(x, batch)
    expect(taken.map((row) => row.execution_id).sort()).toEqual(ids.toSorted())
    for (const row of taken) {
      expect(row).toEqual({
        batch_id: batch,
        organization_id: organizationId,
        lease_seconds: 40,
        execution_id: row.execution_id,
        workflow_name: name,
        workflow_version: null,
        attempt: 1,
        input: {},
        steps: null,
        compensating: null,
        is_resuming: false,
      })
    }
    expect(await report(database, x, taken)).toEqual([])
  })

  test('works once: the second taker gets nothing', async () => {
    const { x, y } = await scene()
    const batch = one(await offer())
    expect(await take(x, batch)).toHaveLength(3)
    expect(await take(y, batch)).toEqual([])
    expect(await take(x, batch)).toEqual([])
  })

  test('by two at once works for one of them', async () => {
    const { x, y, ids } = await scene()
    const batch = one(await offer())
    await withSessions(database, 2, async (first, second) => {
      await first.query('begin')
      const taken = await take(x, batch, first)
      expect(taken).toHaveLength(3)
      const waiting = take(y, batch, second)
      await untilBlocked(database, second)
      await first.query('commit')
      expect(await waiting).toEqual([])
      expect(await report(database, y, taken)).toHaveLength(ids.length)
      expect(await report(database, x, taken)).toEqual([])
    })
  })

  test('whose taker rolls back is left for the next', async () => {
    const { x, y } = await scene()
    const batch = one(await offer())
    await withSessions(database, 1, async (first) => {
      await first.query('begin')
      await take(x, batch, first)
      await first.query('rollback')
    })
    expect(await take(y, batch)).toHaveLength(3)
  })

  test('comes too late after the end of the lease, and after a reset of the semaphore', async () => {
    const { x, ids } = await scene()
    const expired = one(await offer())
    await expireLeases(database, [{ batch_id: expired, execution_id: ids[0] ?? '' }])
    expect(await take(x, expired)).toEqual([])
    await report(database, x, [...(await claim(database, x)), ...(await claim(database, x))])
    await scene()
    const batches = await offer()
    expect(batches).toHaveLength(1)
    await database.query('update fw_module_settings set worker_running = false where worker_running')
    for (const batch of batches) expect(await take(x, batch)).toEqual([])
  })

  test('brings the steps that earlier attempts completed', async () => {
    const { x } = await scene(1)
    const held = one(await claim(database, x))
    await report(database, x, [{ ...held, done: false, completed: [{ name: 'a', index: 0, output: 1 }] }])
    await expireLeases(database, [held])
    // The first look finds the lost lease, the second the work that is due again.
    const [batch] = [...(await offer()), ...(await offer())]
    expect(one(await take(x, batch ?? ''))).toMatchObject({ attempt: 2, steps: [{ name: 'a', output: 1 }] })
  })
})

test('a batch that was offered before a pause is not taken in it', async () => {
  const { x } = await scene()
  const batch = one(await offer())
  await database.query("select public.fw_pause('maintenance')")
  expect(await take(x, batch)).toEqual([])
  await database.query('select public.fw_resume()')
  expect(await take(x, batch)).toHaveLength(3)
})
