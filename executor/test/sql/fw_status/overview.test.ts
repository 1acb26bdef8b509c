import { describe, expect, test } from 'vitest'
import { claim, claimOne, deadLetter, enqueue, executor, expireLeases, one, organization, reportFailures, sendRaw, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

const status = (organizationId: string | null) =>
  database.query('select * from public.fw_status() where organization_id is not distinct from $1', [organizationId])

describe('fw_status', () => {
  test('counts what waits, is delayed, runs and is dead-lettered', async () => {
    const name = workflow()
    const organizationId = await organization(database, { batchSize: 2 })
    const x = await executor(database, name)
    await enqueue(database, name, organizationId)
    await deadLetter(database, x, await claimOne(database, x))
    await enqueue(database, name, organizationId)
    await reportFailures(database, x, [{ ...(await claimOne(database, x)), delayMs: 3_600_000 }])
    await enqueue(database, name, organizationId, 5)
    await claim(database, x)
    const row = one(await status(organizationId))
    expect(row).toMatchObject({
      organization_id: organizationId,
      enabled: true,
      waiting: '3',
      delayed: '1',
      running: '2',
      dead_letters: '1',
      last_run_at: expect.any(Date) as unknown,
      last_batch_size: 2,
    })
    const { waits } = one(
      await database.query("select oldest_waiting >= '0' and oldest_waiting < '1 hour' as waits from public.fw_status() where organization_id = $1", [
        organizationId,
      ]),
    )
    expect(waits).toBe(true)
  })

  test('shows an organization that waits while its worker is disabled', async () => {
    const organizationId = await organization(database, { enabled: false })
    await enqueue(database, workflow(), organizationId, 2)
    expect(one(await status(organizationId))).toMatchObject({ enabled: false, waiting: '2', running: '0', last_run_at: null })
  })

  test('counts work of a lost lease as waiting, not as running', async () => {
    const name = workflow()
    const organizationId = await organization(database)
    const x = await executor(database, name)
    await enqueue(database, name, organizationId)
    await expireLeases(database, [await claimOne(database, x)])
    expect(one(await status(organizationId))).toMatchObject({ waiting: '1', delayed: '0', running: '0' })
  })

  test('has a row without an organization for messages that name none', async () => {
    await sendRaw(database, 'nonsense')
    expect(one(await status(null))).toMatchObject({ enabled: false, waiting: '1', running: '0' })
    await database.query("select pgmq.purge_queue('workflow_dlq')")
    const x = await executor(database, workflow())
    await claim(database, x)
    expect(one(await status(null))).toMatchObject({ waiting: '0', dead_letters: '1' })
  })

  test('leaves out organizations that have nothing and want nothing', async () => {
    expect(await status(await organization(database, { enabled: false }))).toEqual([])
  })
})
