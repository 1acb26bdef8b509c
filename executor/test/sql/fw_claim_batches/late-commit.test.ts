import { expect, test } from 'vitest'
import { claim, claimAsIs, type Claimed, enqueue, executor, one, organization, report, sqlDatabase, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

test('a transaction that enqueued first and commits after later work was claimed is found', async () => {
  const name = workflow()
  const x = await executor(database, name)
  const organizationId = await organization(database, { batchSize: 5 })
  await withSessions(database, 1, async (slow) => {
    await slow.query('begin')
    const late = one(await enqueue(slow, name, organizationId))
    await enqueue(database, name, organizationId, 200)
    const first = await claim(database, x, 5)
    expect(first).toHaveLength(5)
    await report(database, x, first)
    await slow.query('commit')

    // The floor is past it now: a claim that goes by the floor alone does not see it.
    await database.query("update public.fw_executors set rescanned_at = now() + interval '1 hour', rescan_cost = '1 hour' where id = $1", [x])
    const byFloor = await claimAsIs(database, x, 5)
    expect(byFloor).toHaveLength(5)
    expect(byFloor.map((row) => row.execution_id)).not.toContain(late)
    await report(database, x, byFloor)

    // From time to time, and at the latest when it has room left, a claim starts from the beginning.
    await database.query("update public.fw_executors set rescanned_at = now(), rescan_cost = '1 ms' where id = $1", [x])
    const served: Claimed[] = []
    while (served.length < 191 && !served.some((row) => row.execution_id === late)) {
      const claimed = await claimAsIs(database, x, 5)
      served.push(...claimed)
      await report(database, x, claimed)
    }
    expect(served.map((row) => row.execution_id)).toContain(late)
  })
})

test('what a transaction enqueues meanwhile stays invisible to claims, and delays none of them', async () => {
  const name = workflow()
  const x = await executor(database, name)
  const organizationId = await organization(database)
  await withSessions(database, 2, async (slow, claimer) => {
    await slow.query('begin')
    await enqueue(slow, name, organizationId, 5)
    const id = one(await enqueue(database, name, organizationId))
    await claimer.query("set lock_timeout = '1ms'")
    const claimed = await claim(claimer, x)
    expect(claimed.map((row) => row.execution_id)).toEqual([id])
    await slow.query('commit')
    expect(await claim(claimer, x)).toHaveLength(5)
  })
})
