import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { claim, claimOne, enqueue, execution, executor, expireLeases, one, organization, report, sqlDatabase, untilBlocked, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

interface Reaped extends Record<string, unknown> {
  organization_id: string
  lost: string
  returned: string
}

const reap = (on: Pick<typeof database, 'query'> = database, most = 1000) => on.query<Reaped>('select * from public.fw_reap_expired_batches($1)', [most])

const reapedOf = (rows: readonly Reaped[], organizationId: string) =>
  rows.filter((row) => row.organization_id === organizationId).map(({ lost, returned }) => ({ lost: Number(lost), returned: Number(returned) }))

async function scene(count = 1, settings = {}) {
  const name = workflow()
  const organizationId = await organization(database, settings)
  const x = await executor(database, name)
  const ids = await enqueue(database, name, organizationId, count)
  return { name, organizationId, x, ids, id: ids[0] ?? '' }
}

const offer = () => database.query<{ id: string }>('select id from public.fw_offer_batches() as id')

const run = async (batchId: string) => one(await database.query('select * from public.fw_worker_runs where id = $1', [batchId]))

const elevenSecondsPass = () =>
  database.query("update public.fw_worker_runs set claimed_at = claimed_at - interval '11 seconds' where taken_at is null and finished_at is null")

describe('batches whose lease has run out', () => {
  test('are ended for all organizations, each with its count; what was reported in time is not touched', async () => {
    const [one_, two] = [await scene(3), await scene(2)]
    const held = await claim(database, one_.x)
    await report(database, one_.x, held.slice(0, 1))
    const others = await claim(database, two.x)
    await expireLeases(database, [...held, ...others])
    const rows = await reap()
    expect(reapedOf(rows, one_.organizationId)).toEqual([{ lost: 2, returned: 0 }])
    expect(reapedOf(rows, two.organizationId)).toEqual([{ lost: 2, returned: 0 }])
    expect(await run(held[0]?.batch_id ?? '')).toMatchObject({ size: 3, open: 0, succeeded: 1, lost: 2 })
    expect(await reap()).toEqual([])
  })

  test('are ended at most as many as asked for in a call, the oldest first', async () => {
    const [older, newer] = [await scene(), await scene()]
    const [first] = await claim(database, older.x)
    const [second] = await claim(database, newer.x)
    if (!first || !second) throw new Error('both were claimed')
    await expireLeases(database, [second])
    await expireLeases(database, [first])
    await database.query("update public.fw_worker_runs set lease_expires_at = lease_expires_at - interval '10 seconds' where id = $1", [first.batch_id])
    await database.query("update pgmq.q_workflow_execution_queue q set vt = r.lease_expires_at from public.fw_worker_runs r where r.id = $1 and q.message ->> 'execution_id' = $2", [
      first.batch_id,
      first.execution_id,
    ])
    expect(await reap(database, 1)).toEqual([{ organization_id: older.organizationId, lost: '1', returned: '0' }])
    expect(await reap(database, 1)).toEqual([{ organization_id: newer.organizationId, lost: '1', returned: '0' }])
  })

  test('whose message somebody has moved are found a minute later, and are due at once', async () => {
    const { organizationId, x, id } = await scene()
    const held = await claimOne(database, x)
    await database.query("update public.fw_worker_runs set lease_expires_at = now() - interval '50 seconds' where id = $1", [held.batch_id])
    await database.query("update pgmq.q_workflow_execution_queue set vt = now() + interval '1 hour' where message ->> 'execution_id' = $1", [id])
    expect(await reap()).toEqual([])
    await database.query("update public.fw_worker_runs set lease_expires_at = now() - interval '70 seconds' where id = $1", [held.batch_id])
    expect(await reap()).toEqual([{ organization_id: organizationId, lost: '1', returned: '0' }])
    expect(await claimOne(database, x)).toMatchObject({ execution_id: id, attempt: 2 })
  })

  test('after a reset of the semaphore end with their lease as well', async () => {
    const { organizationId, x, id } = await scene()
    const held = await claimOne(database, x)
    await database.query('update fw_module_settings set worker_running = false where organization_id = $1 and worker_running', [organizationId])
    expect(await reap()).toEqual([])
    await expireLeases(database, [held])
    expect(await reap()).toEqual([{ organization_id: organizationId, lost: '1', returned: '0' }])
    expect(await execution(database, id)).toMatchObject({ status: 'retry_pending', retry_count: 1 })
  })

  test('of an organization whose settings somebody holds are left to the next call, and hold up no other', async () => {
    const [held, free] = [await scene(), await scene()]
    await expireLeases(database, [...(await claim(database, held.x)), ...(await claim(database, free.x))])
    await withSessions(database, 2, async (administrator, reaper) => {
      await administrator.query('begin')
      await administrator.query('update public.fw_module_settings set fw_worker_batch_size = 5 where organization_id = $1', [held.organizationId])
      await reaper.query("set lock_timeout = '1ms'")
      expect(await reap(reaper)).toEqual([{ organization_id: free.organizationId, lost: '1', returned: '0' }])
      await administrator.query('commit')
      expect(await reap(reaper)).toEqual([{ organization_id: held.organizationId, lost: '1', returned: '0' }])
    })
  })

  test('are left to a report that holds them, and neither waits for the other', async () => {
    const { x, id } = await scene()
    const held = await claimOne(database, x)
    await withSessions(database, 2, async (reporter, reaper) => {
      await reporter.query('begin')
      expect(await report(reporter, x, [{ ...held, done: false, completed: [{ name: 'a', index: 0, output: 1 }] }])).toEqual([])
      await database.query("update pgmq.q_workflow_execution_queue set vt = now() where message ->> 'execution_id' = $1", [id])
      await reaper.query("set lock_timeout = '1ms'")
      expect(await reap(reaper)).toEqual([])
      expect(await report(reporter, x, [held])).toEqual([])
      await reporter.query('commit')
    })
    expect(await execution(database, id)).toMatchObject({ status: 'completed', retry_count: 0 })
  })

  test('refuse the report of the executor that lost them, once they are ended', async () => {
    const { x, id } = await scene()
    const held = await claimOne(database, x)
    await withSessions(database, 2, async (reaper, reporter) => {
      // For this transaction the lease still lives.
      await reporter.query('begin')
      await reporter.query('select now()')
      await expireLeases(database, [held])
      await database.query("update public.fw_worker_runs set lease_expires_at = clock_timestamp() where id = $1", [held.batch_id])
      await database.query("update pgmq.q_workflow_execution_queue q set vt = r.lease_expires_at from public.fw_worker_runs r where r.id = $1 and q.message ->> 'execution_id' = $2", [held.batch_id, id])
      await reaper.query('begin')
      expect(await reap(reaper)).toHaveLength(1)
      const late = report(reporter, x, [held])
      await untilBlocked(database, reporter)
      await reaper.query('commit')
      expect(await late).toEqual([id])
      await reporter.query('commit')
    })
    expect(await execution(database, id)).toMatchObject({ status: 'retry_pending', retry_count: 1 })
  })
})

describe('batches that were offered and not taken', () => {
  test('go back within their lease, and lost ones of the same organization are counted beside them', async () => {
    const { organizationId, x } = await scene(2, { batchSize: 1, concurrency: 2 })
    const lost = await claim(database, x, 1)
    await database.query('update public.fw_executors set wants_work = true where id = $1', [x])
    expect(await offer()).toHaveLength(1)
    await expireLeases(database, lost)
    await elevenSecondsPass()
    expect(await reap()).toHaveLength(1)
    // Each was a message of its own batch; together they are one row of the organization.
    const runs = await database.query('select lost, released, open from public.fw_worker_runs where organization_id = $1 order by lost desc', [organizationId])
    expect(runs).toEqual([
      { lost: 1, released: 0, open: 0 },
      { lost: 0, released: 1, open: 0 },
    ])
  })

  test('whose message somebody has moved are due at once as well', async () => {
    const { x, id } = await scene()
    const batch = one(await offer())
    await database.query("update public.fw_worker_runs set lease_expires_at = now() - interval '70 seconds' where id = $1", [batch.id])
    await database.query("update pgmq.q_workflow_execution_queue set vt = now() + interval '1 hour' where message ->> 'execution_id' = $1", [id])
    expect(await reap()).toMatchObject([{ lost: '0', returned: '1' }])
    expect(await claimOne(database, x)).toMatchObject({ execution_id: id, attempt: 1 })
  })

  test('are left to an executor that is taking one just now', async () => {
    const { x, id } = await scene()
    const batch = one(await offer())
    await elevenSecondsPass()
    await withSessions(database, 2, async (taker, reaper) => {
      await taker.query('begin')
      const held = await taker.query<{ execution_id: string; batch_id: string }>('select * from public.fw_take_batch($1, $2)', [x, batch.id])
      expect(held).toHaveLength(1)
      await reaper.query("set lock_timeout = '1ms'")
      expect(await reap(reaper)).toEqual([])
      await taker.query('commit')
      expect(await report(database, x, held)).toEqual([])
    })
    expect(await execution(database, id)).toMatchObject({ status: 'completed' })
  })

  test('can no longer be taken: an executor that comes too late gets nothing', async () => {
    const { x, id } = await scene()
    const batch = one(await offer())
    await elevenSecondsPass()
    await withSessions(database, 2, async (reaper, taker) => {
      await reaper.query('begin')
      expect(await reap(reaper)).toHaveLength(1)
      const late = taker.query('select * from public.fw_take_batch($1, $2)', [x, batch.id])
      await untilBlocked(database, taker)
      await reaper.query('commit')
      expect(await late).toEqual([])
    })
    expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0 })
  })
})

test('an offer that nobody took leaves no start and no deadline behind: its execution has not begun', async () => {
  const { id, x } = await scene()
  await offer()
  await elevenSecondsPass()
  await reap()
  expect(await execution(database, id)).toMatchObject({ status: 'queued', started_at: null, deadline_at: null })
  // One that had begun before keeps what it had.
  await claimOne(database, x)
  await database.query("update public.fw_workflow_executions set started_at = started_at - interval '1 minute' where id = $1", [id])
  const { started_at: startedAt, deadline_at: deadlineAt } = await database.query('select * from public.fw_workflow_executions where id = $1', [id]).then(([row]) => row ?? {})
  await database.query('select public.fw_release($1, array[$2::uuid], (select array_agg(batch_id) from public.fw_workflow_executions where id = $2))', [x, id])
  await offer()
  await elevenSecondsPass()
  await reap()
  expect(await execution(database, id)).toMatchObject({ status: 'queued', started_at: startedAt, deadline_at: deadlineAt })
})
