import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { listening } from '../../support/listening.js'
import { claim, enqueue, executor, one, organization, reportFailures, sendRaw, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))
beforeEach(async () => {
  await database.query("select public.fw_dlq_purge('0')")
  await database.query('delete from public.fw_notices')
  await database.query('update public.fw_worker_config set dlq_alert_depth = 3')
})

const check = () => database.query<{ organization_id: string | null; dead_letters: string }>('select * from public.fw_check_dlq_threshold()')

const notices = () => database.query<{ organization_id: string | null; message: string }>("select organization_id, message from public.fw_notices where kind = 'dlq_threshold' order by id")

/** An organization with this many dead letters. */
async function withDeadLetters(count: number): Promise<string> {
  const name = workflow()
  const organizationId = await organization(database)
  const x = await executor(database, name)
  await enqueue(database, name, organizationId, count)
  await reportFailures(database, x, (await claim(database, x)).map((row) => ({ ...row, permanent: true })))
  return organizationId
}

describe('dead letters that pile up', () => {
  test('bring a notice for each organization that has as many as the alert is set to, which listeners hear', async () => {
    const [few, enough, more] = [await withDeadLetters(2), await withDeadLetters(3), await withDeadLetters(5)]
    await listening(database, ['fw_notice'], async ({ heard }) => {
      const rows = await check()
      expect(new Map(rows.map((row) => [row.organization_id, row.dead_letters]))).toEqual(
        new Map([
          [enough, '3'],
          [more, '5'],
        ]),
      )
      const told = (await heard('fw_notice')).map((payload) => JSON.parse(payload) as Record<string, unknown>)
      expect(told.map((notice) => [notice['kind'], notice['organization_id']]).sort()).toEqual([enough, more].map((id) => ['dlq_threshold', id]).sort())
    })
    const given = await notices()
    expect(given.find((row) => row.organization_id === more)?.message).toBe('5 dead letters wait; the alert is set to 3')
    expect(given.map((row) => row.organization_id)).not.toContain(few)
    expect(given).toHaveLength(2)
  })

  test('bring it again after an hour at the earliest, for each organization by itself', async () => {
    const first = await withDeadLetters(3)
    expect(await check()).toHaveLength(1)
    for (let round = 0; round < 3; round++) expect(await check()).toEqual([])
    const second = await withDeadLetters(3)
    expect((await check()).map((row) => row.organization_id)).toEqual([second])
    await database.query("update public.fw_notices set created_at = now() - interval '59 minutes' where organization_id = $1", [first])
    expect(await check()).toEqual([])
    await database.query("update public.fw_notices set created_at = now() - interval '61 minutes' where organization_id = $1", [first])
    expect((await check()).map((row) => row.organization_id)).toEqual([first])
    expect(await check()).toEqual([])
    expect(await notices()).toHaveLength(3)
  })

  test('of no organization count as well', async () => {
    for (let i = 0; i < 3; i++) await sendRaw(database, 'nonsense', 'workflow_dlq')
    expect(await check()).toEqual([{ organization_id: null, dead_letters: '3' }])
    expect(await check()).toEqual([])
    expect(one(await notices())).toEqual({ organization_id: null, message: '3 dead letters wait; the alert is set to 3' })
  })

  test('bring nothing once they are gone', async () => {
    await withDeadLetters(3)
    await database.query("select public.fw_dlq_purge('0')")
    expect(await check()).toEqual([])
  })
})
