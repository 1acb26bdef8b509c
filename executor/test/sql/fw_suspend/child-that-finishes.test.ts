import { afterEach, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { claimOne, type Claimed, enqueue, execution, executor, organization, type Queryable, report, sqlDatabase, untilBlocked, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

/** Waits for a child and for an hour, side by side. */
const suspend = (on: Queryable, x: string, held: Claimed, child: string) =>
  on.query<{ outcome: string; wake_in_ms: string | null }>(
    `select outcome, wake_in_ms from public.fw_suspend($1, array[$2::uuid], array[$3::uuid], array[1, 1], array['child', 'sleep'], array[0, 1],
       array[null, 3600000]::bigint[], array[null, null]::timestamptz[], array[null, null]::text[], array[$4, null], array['{}', null]::jsonb[],
       array[null, null]::text[], array[null, null]::integer[])`,
    [x, held.execution_id, held.batch_id, child],
  )

test('a child that finishes while its parent begins to wait again wakes it all the same', async () => {
  const [parentName, childName] = [workflow(), workflow()]
  const organizationId = await organization(database, { concurrency: 2 })
  const x = await executor(database, [parentName, childName])
  const [id = ''] = await enqueue(database, parentName, organizationId)
  await suspend(database, x, await claimOne(database, x), childName)
  const child = await claimOne(database, x)
  expect(child.workflow_name).toBe(childName)
  // Something else has woken the parent.
  await database.query('update pgmq.q_workflow_execution_queue q set vt = now() from public.fw_workflow_executions e where e.id = $1 and q.msg_id = e.msg_id', [id])
  const parent = await claimOne(database, x)
  expect(parent.execution_id).toBe(id)
  await withSessions(database, 2, async (finishing, waiting) => {
    await finishing.query('begin')
    await report(finishing, x, [{ ...child, output: 7 }])
    const suspended = suspend(waiting, x, parent, childName)
    await untilBlocked(database, waiting)
    await finishing.query('commit')
    expect(await suspended).toEqual([{ outcome: 'waiting', wake_in_ms: '0' }])
  })
  expect(await execution(database, id)).toMatchObject({ status: 'waiting' })
  expect((await claimOne(database, x)).steps).toMatchObject([{ name: 'child', output: 7 }])
})
