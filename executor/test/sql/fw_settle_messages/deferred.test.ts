import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { claim, claimOne, enqueue, execution, executor, one, organization, sqlDatabase, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

/** Work that the only executor does not know. */
async function scene() {
  const name = workflow()
  const x = await executor(database, workflow())
  return { name, x, id: one(await enqueue(database, name, await organization(database))) }
}

/** Seconds until the next look at an execution that was enqueued so long ago, to the microsecond: all in one transaction, so at one time. */
async function secondsToNextLook(enqueued: string): Promise<number> {
  const { x, id } = await scene()
  return withSessions(database, 1, async (session) => {
    await session.query('begin')
    await session.query('update public.fw_workflow_executions set created_at = now() - $2::interval where id = $1', [id, enqueued])
    expect(await claim(session, x)).toEqual([])
    const { seconds } = one(await session.query<{ seconds: string }>("select extract(epoch from vt - now()) as seconds from pgmq.q_workflow_execution_queue where message ->> 'execution_id' = $1", [id]))
    await session.query('commit')
    expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0, started_at: null })
    return Number(seconds)
  })
}

describe('work that no live executor knows is looked at again', () => {
  test.each([
    ['0 seconds', 1],
    ['10 milliseconds', 1],
    ['1 second', 1],
    ['1500 milliseconds', 1.5],
    ['37 seconds', 37],
    ['60 seconds', 60],
    ['61 seconds', 60],
    ['3 months', 60],
    ['-5 minutes', 1],
  ])('when it was enqueued %s ago: after %s seconds', async (enqueued, seconds) => {
    expect(await secondsToNextLook(enqueued)).toBe(seconds)
  })

  test('soon when it came shortly before its first executor, which finds it then', async () => {
    const { name, x, id } = await scene()
    await withSessions(database, 1, async (session) => {
      await session.query('begin')
      await session.query('update public.fw_workflow_executions set created_at = now() where id = $1', [id])
      await claim(session, x)
      await session.query('commit')
    })
    const y = await executor(database, name)
    // The second passes.
    await database.query("update pgmq.q_workflow_execution_queue set vt = vt - interval '1 second' where message ->> 'execution_id' = $1", [id])
    expect(await claimOne(database, y)).toMatchObject({ execution_id: id, attempt: 1 })
  })
})
