import { describe, expect, test } from 'vitest'
import { type Claimed, claim, enqueue, execution, executor, makeVisible, one, organization, report, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

/** Lets an execution have been enqueued an hour ago, so that it is left for a minute when nobody knows its workflow. */
const anHourPasses = (id: string) => database.query("update public.fw_workflow_executions set created_at = created_at - interval '1 hour' where id = $1", [id])

describe('a workflow that no live executor knows', () => {
  test('is left for later without an attempt, and is run once somebody knows it', async () => {
    const [known, unknown] = [workflow(), workflow()]
    const x = await executor(database, known)
    const organizationId = await organization(database)
    const id = one(await enqueue(database, unknown, organizationId))
    await anHourPasses(id)
    expect(await claim(database, x)).toEqual([])
    const visible = 'select from pgmq.q_workflow_execution_queue where vt <= now() and message ->> $1 = $2'
    expect(await database.query(visible, ['execution_id', id])).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0, started_at: null, batch_id: null })
    const y = await executor(database, unknown)
    await makeVisible(database, [id])
    expect(await claim(database, x)).toEqual([])
    expect(one(await claim(database, y))).toMatchObject({ execution_id: id, attempt: 1 })
  })

  test('does not hold back the work behind it', async () => {
    const [known, unknown] = [workflow(), workflow()]
    const x = await executor(database, known)
    const organizationId = await organization(database)
    await enqueue(database, unknown, organizationId, 55)
    const ids = await enqueue(database, known, organizationId, 10)
    const claimed: Claimed[] = []
    for (let i = 0; i < 5; i++) {
      const batch = await claim(database, x)
      claimed.push(...batch)
      await report(database, x, batch)
    }
    expect(claimed.map((row) => row.execution_id).sort()).toEqual(ids.toSorted())
  })

  test('is not deferred over and over: one look a minute', async () => {
    const [known, unknown] = [workflow(), workflow()]
    const x = await executor(database, known)
    const organizationId = await organization(database)
    await anHourPasses(one(await enqueue(database, unknown, organizationId)))
    await claim(database, x)
    const later = await database.query(
      "select from pgmq.q_workflow_execution_queue where message ->> 'organization_id' = $1 and vt > now() + interval '30 seconds' and read_ct = 0",
      [organizationId],
    )
    expect(later).toHaveLength(1)
  })

  test('counts as known while its executor was seen lately, and not once that has stopped', async () => {
    const [a, b] = [workflow(), workflow()]
    const x = await executor(database, a)
    const y = await executor(database, b)
    const organizationId = await organization(database)
    const id = one(await enqueue(database, b, organizationId))
    await anHourPasses(id)
    const due = async () =>
      (await database.query("select from pgmq.q_workflow_execution_queue where message ->> 'execution_id' = $1 and vt <= now()", [id])).length === 1
    await claim(database, x)
    expect(await due()).toBe(true)
    await database.query('select public.fw_stop_executor($1)', [y])
    await claim(database, x)
    expect(await due()).toBe(false)
    await makeVisible(database, [id])
    await database.query("update public.fw_executors set stopped_at = null, last_seen_at = now() - interval '31 seconds' where id = $1", [y])
    await claim(database, x)
    expect(await due()).toBe(false)
  })
})

describe('executors that know different workflows', () => {
  test('each get their own behind a thousand of the other', async () => {
    const [a, b] = [workflow(), workflow()]
    const x = await executor(database, a)
    const y = await executor(database, b)
    const organizationId = await organization(database, { batchSize: 5, concurrency: 2 })
    await enqueue(database, a, organizationId, 1000)
    const ids = await enqueue(database, b, organizationId, 3)
    const claimed = await claim(database, y)
    expect(claimed.map((row) => row.execution_id).sort()).toEqual(ids.toSorted())
    const others = await claim(database, x)
    expect(others).toHaveLength(7)
    expect(new Set(others.map((row) => row.workflow_name))).toEqual(new Set([a]))
    await report(database, y, claimed)
    expect(await claim(database, y)).toEqual([])
  })

  test('that know several share what both know', async () => {
    const [a, b, c] = [workflow(), workflow(), workflow()]
    const x = await executor(database, [a, b])
    const y = await executor(database, [b, c])
    const organizationId = await organization(database, { batchSize: 50 })
    for (const name of [a, b, c]) await enqueue(database, name, organizationId)
    const first = await claim(database, y)
    expect(first.map((row) => row.workflow_name).sort()).toEqual([b, c].sort())
    const rest = await claim(database, x)
    expect(rest.map((row) => row.workflow_name)).toEqual([a])
  })
})
