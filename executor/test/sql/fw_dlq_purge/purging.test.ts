import { describe, expect, test } from 'vitest'
import { claim, contents, enqueue, execution, executor, one, organization, reportFailures, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

/** Dead letters of these ages, in days; the queue holds no others. */
async function scene(ages: number[]) {
  await database.query('delete from pgmq.q_workflow_dlq')
  const name = workflow()
  const organizationId = await organization(database, { batchSize: 50 })
  const x = await executor(database, name)
  const ids = await enqueue(database, name, organizationId, ages.length)
  await reportFailures(database, x, (await claim(database, x)).map((held) => ({ ...held, permanent: true })))
  for (const [at, id] of ids.entries()) {
    await database.query(
      "update pgmq.q_workflow_dlq set enqueued_at = now() - make_interval(days => $2) where message ->> 'execution_id' = $1",
      [id, ages[at]],
    )
  }
  return { organizationId, ids }
}

const purge = async (call: string) => one(await database.query<{ purged: string }>(`select ${call} as purged`)).purged
const left = async () => (await database.query<{ id: string }>('select execution_id as id from public.fw_dlq')).map(({ id }) => id).sort()

describe('fw_dlq_purge', () => {
  test('discards what is older than 30 days by default, and says how many', async () => {
    const { ids } = await scene([0, 29, 31, 90])
    expect(await purge('public.fw_dlq_purge()')).toBe('2')
    expect(await left()).toEqual(ids.slice(0, 2).sort())
    expect(await execution(database, ids[2] ?? '')).toMatchObject({ status: 'failed', dlq_msg_id: null, discarded_at: expect.any(Date) as unknown })
    expect(await execution(database, ids[0] ?? '')).toMatchObject({ status: 'failed', dlq_msg_id: expect.any(String) as unknown, discarded_at: null })
    expect(await purge('public.fw_dlq_purge()')).toBe('0')
  })

  test('discards what is older than the given age', async () => {
    const { ids } = await scene([0, 2, 4])
    expect(await purge("public.fw_dlq_purge('3 days')")).toBe('1')
    expect(await left()).toEqual(ids.slice(0, 2).sort())
    expect(await purge("public.fw_dlq_purge('0')")).toBe('2')
    expect(await left()).toEqual([])
  })

  test.for([
    ["'-1 second'", 'the age -00:00:01 is not an age'],
    ['null', 'the age NULL is not an age'],
  ] as const)('refuses %s and purges nothing', async ([age, message]) => {
    await scene([90])
    const before = await contents(database)
    await expect(purge(`public.fw_dlq_purge(${age})`)).rejects.toMatchObject({
      code: '22023',
      message,
      hint: 'Pass an interval of 0 or more; nothing was purged.',
    })
    expect(await contents(database)).toEqual(before)
  })
})
