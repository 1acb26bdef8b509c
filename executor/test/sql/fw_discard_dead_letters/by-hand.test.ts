import { describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { claim, enqueue, execution, executor, organization, reportFailures, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function scene(count: number) {
  const name = workflow()
  const organizationId = await organization(database, { batchSize: 50 })
  const x = await executor(database, name)
  const ids = await enqueue(database, name, organizationId, count)
  await reportFailures(database, x, (await claim(database, x)).map((held) => ({ ...held, permanent: true })))
  const letters = await Promise.all(ids.map(async (id) => (await execution(database, id)).dlq_msg_id ?? ''))
  return { organizationId, ids, letters }
}

async function expectDiscarded(ids: string[]) {
  for (const id of ids) {
    expect(await execution(database, id)).toMatchObject({ status: 'failed', dlq_msg_id: null, discarded_at: expect.any(Date) as unknown })
  }
  await expectInvariantsZero(database.pool)
}

async function expectKept(ids: string[]) {
  for (const id of ids) {
    expect(await execution(database, id)).toMatchObject({ status: 'failed', dlq_msg_id: expect.any(String) as unknown, discarded_at: null })
  }
}

describe('an execution knows that its dead letter is gone', () => {
  test('after pgmq.delete', async () => {
    const { ids, letters } = await scene(2)
    await database.query("select pgmq.delete('workflow_dlq', $1::bigint)", [letters[0]])
    await expectDiscarded(ids.slice(0, 1))
    await expectKept(ids.slice(1))
  })

  test('after a DELETE of many', async () => {
    const { organizationId, ids } = await scene(20)
    const other = await scene(2)
    await database.query("delete from pgmq.q_workflow_dlq where message ->> 'organization_id' = $1", [organizationId])
    await expectDiscarded(ids)
    await expectKept(other.ids)
  })

  test('after pgmq.archive, of one and of several', async () => {
    const { ids, letters } = await scene(4)
    await database.query("select pgmq.archive('workflow_dlq', $1::bigint)", [letters[0]])
    await database.query("select pgmq.archive('workflow_dlq', $1::bigint[])", [letters.slice(1, 3)])
    await expectDiscarded(ids.slice(0, 3))
    await expectKept(ids.slice(3))
  })

  test('after pgmq.pop', async () => {
    await database.query("select pgmq.purge_queue('workflow_dlq')")
    const { ids } = await scene(1)
    await database.query("select pgmq.pop('workflow_dlq')")
    await expectDiscarded(ids)
  })

  test('after pgmq.purge_queue', async () => {
    const { ids } = await scene(3)
    await database.query("select pgmq.purge_queue('workflow_dlq')")
    await expectDiscarded(ids)
  })

  test('but not after a delete that was rolled back', async () => {
    const { ids } = await scene(1)
    await database.query("do $$ begin delete from pgmq.q_workflow_dlq; raise exception 'no'; exception when others then null; end $$")
    await expectKept(ids)
  })
})
