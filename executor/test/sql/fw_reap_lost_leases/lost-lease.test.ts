import { describe, expect, test } from 'vitest'
import { checkpoint, claim, claimOne, contents, enqueue, execution, executor, expireLeases, extend, type Held, messages, one, organization, release, report, reportFailures, type Session, sqlDatabase, untilBlocked, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function scene(settings = {}, count = 1) {
  const name = workflow()
  const organizationId = await organization(database, settings)
  const [x, y] = [await executor(database, name), await executor(database, name)]
  const ids = await enqueue(database, name, organizationId, count)
  return { name, organizationId, x, y, ids, id: ids[0] ?? '' }
}

/** Begins a transaction for which the lease still lives, while for everybody who comes later it has run out. */
async function beginBeforeTheEndOfTheLease(session: Session, held: Held) {
  await session.query('begin')
  await session.query('select now()')
  await database.query('update public.fw_worker_runs set lease_expires_at = clock_timestamp() where id = $1', [held.batch_id])
  await database.query(
    `update pgmq.q_workflow_execution_queue q set vt = r.lease_expires_at
     from public.fw_worker_runs r join public.fw_workflow_executions e on e.batch_id = r.id where r.id = $1 and q.msg_id = e.msg_id`,
    [held.batch_id],
  )
}

const run = async (batchId: string) => one(await database.query('select * from public.fw_worker_runs where id = $1', [batchId]))

describe('an execution whose lease ran out', () => {
  test('is claimed by another executor as the next attempt, with the steps that completed', async () => {
    const { organizationId, x, y, id } = await scene()
    const first = await claimOne(database, x)
    await report(database, x, [{ ...first, done: false, completed: [{ name: 'a', index: 0, output: { n: 1 } }] }])
    await expireLeases(database, [first])
    const second = await claimOne(database, y)
    expect(second).toMatchObject({ execution_id: id, attempt: 2, steps: [{ name: 'a', output: { n: 1 } }] })
    expect(await execution(database, id)).toMatchObject({
      status: 'running',
      retry_count: 1,
      batch_id: second.batch_id,
      error_category: 'TIMEOUT',
      last_error: 'the lease ran out before the executor reported',
    })
    expect(await run(first.batch_id)).toMatchObject({ size: 1, open: 0, lost: 1, failed: 0, finished_at: expect.any(Date) as unknown })
    expect(one(await messages(database, organizationId)).message).toMatchObject({ attempt: 2 })
  })

  test('refuses every write of the executor that lost it, and none of them changes anything', async () => {
    const { x, y, id } = await scene()
    const lost = await claimOne(database, x)
    await expireLeases(database, [lost])
    const current = await claimOne(database, y)
    const before = await contents(database)
    const completed = [{ name: 'a', index: 0, output: 'late' }]
    expect(await report(database, x, [{ ...lost, output: 'late', completed }])).toEqual([id])
    expect(await reportFailures(database, x, [{ ...lost, permanent: true }])).toEqual({ [id]: 'fenced' })
    expect(await release(database, x, [lost])).toEqual([id])
    expect(await extend(database, x, [lost])).toEqual([lost.batch_id])
    await expect(checkpoint(database, x, lost, { name: 'a', index: 0, output: 'late' })).rejects.toMatchObject({ code: 'FW001' })
    // Not with the token of the new run either: it belongs to the other executor.
    const stolen = { ...lost, batch_id: current.batch_id }
    expect(await report(database, x, [{ ...stolen, output: 'late', completed }])).toEqual([id])
    expect(await reportFailures(database, x, [{ ...stolen, permanent: true }])).toEqual({ [id]: 'fenced' })
    expect(await release(database, x, [stolen])).toEqual([id])
    expect(await extend(database, x, [stolen])).toEqual([current.batch_id])
    await expect(checkpoint(database, x, stolen, { name: 'a', index: 0, output: 'late' })).rejects.toMatchObject({ code: 'FW001' })
    expect(await contents(database)).toEqual(before)
    expect(await report(database, y, [{ ...current, output: 'in time' }])).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'completed', output: 'in time' })
  })

  test('is dead-lettered after the fifth lost lease', async () => {
    const { organizationId, x, id } = await scene()
    for (let attempt = 1; attempt <= 5; attempt++) {
      const held = await claimOne(database, x)
      expect(held).toMatchObject({ execution_id: id, attempt })
      await expireLeases(database, [held])
    }
    expect(await claim(database, x)).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'failed', retry_count: 4, error_category: 'TIMEOUT' })
    expect(one(await database.query('select * from public.fw_dlq where organization_id = $1', [organizationId]))).toMatchObject({
      execution_id: id,
      attempt: '5',
      error: 'the lease ran out before the executor reported',
      error_category: 'TIMEOUT',
    })
    const runs = await database.query<{ lost: number; dead_lettered: number }>(
      'select lost, dead_lettered from public.fw_worker_runs where organization_id = $1 order by id',
      [organizationId],
    )
    expect(runs).toEqual([...Array.from({ length: 4 }, () => ({ lost: 1, dead_lettered: 0 })), { lost: 0, dead_lettered: 1 }])
    expect(one(await database.query('select worker_running from public.fw_module_settings where organization_id = $1', [organizationId]))).toEqual({
      worker_running: false,
    })
  })

  test('gives its place back at once, before anybody has reaped it', async () => {
    const { x, y, ids } = await scene({ batchSize: 2 }, 4)
    const lost = await claim(database, x)
    await database.query("update public.fw_worker_runs set lease_expires_at = now() - interval '1 second' where id = $1", [lost[0]?.batch_id])
    // The messages of the lost batch are still invisible here; the other work runs meanwhile.
    const next = await claim(database, y)
    expect(next).toHaveLength(2)
    expect(new Set([...lost, ...next].map((row) => row.execution_id))).toEqual(new Set(ids))
    expect(await report(database, x, lost)).toHaveLength(2)
  })

  test('is told from those of its batch that were reported in time', async () => {
    const { x, y } = await scene({ batchSize: 5 }, 5)
    const held = await claim(database, x)
    await report(database, x, held.slice(0, 3))
    await expireLeases(database, held)
    const again = await claim(database, y)
    expect(again.map((row) => row.execution_id).sort()).toEqual(held.slice(3).map((row) => row.execution_id).sort())
    expect(await run(held[0]?.batch_id ?? '')).toMatchObject({ size: 5, open: 0, succeeded: 3, lost: 2, finished_at: expect.any(Date) as unknown })
  })

  test('is lost a few at a time where a claim has room for one', async () => {
    const { x, y } = await scene({ batchSize: 6 }, 6)
    const held = await claim(database, x)
    await expireLeases(database, held)
    const claimed = await claim(database, y, 1)
    expect(await run(held[0]?.batch_id ?? '')).toMatchObject({ size: 6, finished_at: null })
    // What the batch has not lost yet is refused as well: the lease is over for all of it.
    const before = await contents(database)
    expect(await report(database, x, held)).toHaveLength(6)
    expect(await contents(database)).toEqual(before)
    for (let i = 0; i < 10; i++) claimed.push(...(await claim(database, y, 1)))
    expect(claimed.map((row) => row.execution_id).sort()).toEqual(held.map((row) => row.execution_id).sort())
    expect(new Set(claimed.map((row) => row.attempt))).toEqual(new Set([2]))
    expect(await run(held[0]?.batch_id ?? '')).toMatchObject({ size: 6, open: 0, lost: 6 })
  })
})

test('a batch that was offered and that no one took costs no attempt when its lease runs out', async () => {
  const { x, id } = await scene()
  const offer = () => database.query<{ batch_id: string }>('select batch_id from public.fw_offer_batches() as batch_id')
  for (let round = 0; round < 6; round++) {
    // The first look may only find the lease that was lost; the second finds the work that is due again.
    const { batch_id } = one([...(await offer()), ...(await offer())])
    await expireLeases(database, [{ batch_id, execution_id: id }])
    expect(await execution(database, id)).toMatchObject({ retry_count: 0 })
  }
  expect(await claimOne(database, x)).toMatchObject({ execution_id: id, attempt: 1 })
})

describe('a report that is late in committing', () => {
  test('keeps its executions: a claim after the end of the lease neither waits for it nor takes them', async () => {
    const { organizationId, x, y, id } = await scene()
    const held = await claimOne(database, x)
    await withSessions(database, 2, async (reporter, claimer) => {
      await reporter.query('begin')
      expect(await report(reporter, x, [{ ...held, done: false, completed: [{ name: 'a', index: 0, output: 1 }] }])).toEqual([])
      // The lease is held by the open transaction; now its time passes. Only the message can be touched: the run is locked.
      await database.query("update pgmq.q_workflow_execution_queue set vt = now() where message ->> 'execution_id' = $1", [id])
      await claimer.query("set lock_timeout = '1ms'")
      expect(await claim(claimer, y)).toEqual([])
      await reporter.query('commit')
    })
    expect(await execution(database, id)).toMatchObject({ status: 'running', batch_id: held.batch_id, retry_count: 0 })
    expect(await report(database, x, [held])).toEqual([])
    expect(await messages(database, organizationId)).toEqual([])
  })

  test('and a claim that meets the locked batch after its lease has really run out leaves it alone', async () => {
    const { x, y, id } = await scene()
    const held = await claimOne(database, x)
    await withSessions(database, 2, async (reporter, claimer) => {
      await beginBeforeTheEndOfTheLease(reporter, held)
      expect(await report(reporter, x, [{ ...held, done: false, completed: [{ name: 'a', index: 0, output: 1 }] }])).toEqual([])
      await claimer.query("set lock_timeout = '1ms'")
      expect(await claim(claimer, y)).toEqual([])
      // The transaction began in time, so what it writes still counts.
      expect(await report(reporter, x, [{ ...held, output: 'late but first' }])).toEqual([])
      await reporter.query('commit')
      expect(await claim(claimer, y)).toEqual([])
    })
    expect(await execution(database, id)).toMatchObject({ status: 'completed', output: 'late but first', retry_count: 0 })
  })

  test('after a claim that took its execution is refused once the claim has committed', async () => {
    const { x, y, id } = await scene()
    const held = await claimOne(database, x)
    await withSessions(database, 2, async (claimer, reporter) => {
      await beginBeforeTheEndOfTheLease(reporter, held)
      await claimer.query('begin')
      const [taken] = await claim(claimer, y)
      expect(taken).toMatchObject({ execution_id: id, attempt: 2 })
      const late = report(reporter, x, [{ ...held, output: 'late' }])
      await untilBlocked(database, reporter)
      await claimer.query('commit')
      expect(await late).toEqual([id])
      await reporter.query('commit')
    })
    expect(await execution(database, id)).toMatchObject({ status: 'running', retry_count: 1 })
  })
})
