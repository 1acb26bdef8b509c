import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { claimOne, deadLetter, enqueue, execution, executor, one, organization, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

const discard = async () => one(await database.query<{ discarded: string }>('select public.fw_auto_discard_dlq() as discarded')).discarded

/** A dead letter of this age. */
async function dead(age: string): Promise<{ id: string; letter: string }> {
  const name = workflow()
  const organizationId = await organization(database)
  const x = await executor(database, name)
  const id = one(await enqueue(database, name, organizationId))
  const letter = await deadLetter(database, x, await claimOne(database, x))
  await database.query('update pgmq.q_workflow_dlq set enqueued_at = now() - $2::interval where msg_id = $1', [letter, age])
  return { id, letter }
}

const letters = async () => (await database.query<{ msg_id: string }>('select msg_id from public.fw_dlq order by msg_id')).map(({ msg_id }) => msg_id)

describe('dead letters', () => {
  test('older than the retention are discarded, with a notice; younger ones stay', async () => {
    const [old, young] = [await dead('30 days 1 minute'), await dead('29 days 23 hours')]
    expect(await discard()).toBe('1')
    expect(await letters()).toEqual([young.letter])
    expect(await execution(database, old.id)).toMatchObject({ status: 'failed', dlq_msg_id: null, discarded_at: expect.any(Date) as unknown })
    expect(await execution(database, young.id)).toMatchObject({ status: 'failed', dlq_msg_id: young.letter, discarded_at: null })
    const notices = await database.query("select organization_id, execution_id, message from public.fw_notices where kind = 'dlq_discarded'")
    expect(notices).toEqual([{ organization_id: null, execution_id: null, message: '1 dead letters older than 30 days were discarded' }])
    expect(await discard()).toBe('0')
    expect(await database.query("select from public.fw_notices where kind = 'dlq_discarded'")).toHaveLength(1)
  })

  test('are kept as long as fw_worker_config says', async () => {
    const { letter } = await dead('2 hours')
    expect(await discard()).toBe('0')
    expect(await letters()).toContain(letter)
    await database.query("update public.fw_worker_config set dlq_retention = '1 hour'")
    expect(Number(await discard())).toBeGreaterThan(0)
    expect(await letters()).not.toContain(letter)
  })
})
