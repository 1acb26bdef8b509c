import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { type Claimed, claim, deadLetter, enqueue, execution, executor, expireLeases, extend, one, organization, type Queryable, release, reportFailures, type Session, sqlDatabase, untilBlocked, withSessions, workflow } from '../../support/sql.js'
import { family, running } from '../fw_check_deadlines/scene.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

const lockMessage = (on: Queryable, executionId: string, how = '') =>
  on.query(`select q.msg_id from pgmq.q_workflow_execution_queue q where q.msg_id = (select e.msg_id from public.fw_workflow_executions e where e.id = $1) for update of q ${how}`, [executionId])

/** Two executions that run in one batch, in the order of their messages. */
async function two(): Promise<{ x: string; low: Claimed; high: Claimed }> {
  const name = workflow()
  const organizationId = await organization(database)
  const x = await executor(database, name)
  const ids = await enqueue(database, name, organizationId, 2)
  const held = await claim(database, x)
  const of = (id: string | undefined) => one(held.filter((row) => row.execution_id === id))
  return { x, low: of(ids[0]), high: of(ids[1]) }
}

describe('messages are locked in the order of their ids, whatever the order of the arguments, by', () => {
  test.each<[string, (on: Session, x: string, held: Claimed[]) => Promise<unknown>]>([
    ['an extension of leases', extend],
    ['a release', release],
    ['a report of permanent failures', (on, x, held) => reportFailures(on, x, held.map((row) => ({ ...row, permanent: true })))],
    ['a report of a retry and a permanent failure', (on, x, held) => reportFailures(on, x, held.map((row, at) => ({ ...row, permanent: at === 1 })))],
    ['a cancel', (on, _, held) => on.query('select public.fw_end_executions($1, array_fill(\'cancelled\'::public.fw_execution_status, array[2]), array_fill(\'by hand\'::text, array[2]), array_fill(null::text, array[2]), array_fill(false, array[2]))', [held.map((row) => row.execution_id)])],
  ])('%s', async (_, work) => {
    const { x, low, high } = await two()
    await withSessions(database, 3, async (other, session, third) => {
      await other.query('begin')
      await lockMessage(other, low.execution_id)
      const done = work(session, x, [high, low])
      await untilBlocked(database, session)
      // It holds nothing yet that comes after what it waits for.
      expect(await lockMessage(third, high.execution_id, 'nowait')).toHaveLength(1)
      await other.query('commit')
      await done
    })
  })
})

test('what ends an execution locks its dead letter before it, as a redrive does', async () => {
  const { x, id, held } = await running(database)
  const letter = await deadLetter(database, x, held)
  // By hand, as in the guide: the dead letter stays.
  await database.query("select pgmq.send('workflow_execution_queue', (select message from pgmq.q_workflow_dlq where msg_id = $1))", [letter])
  expect(await claim(database, x)).toMatchObject([{ execution_id: id }])
  await withSessions(database, 3, async (redrive, administrator, third) => {
    await redrive.query('begin')
    await redrive.query('select from pgmq.q_workflow_dlq where msg_id = $1 for update', [letter])
    const cancelled = administrator.query('select public.fw_cancel_execution($1)', [id])
    await untilBlocked(database, administrator)
    expect(await third.query('select 1 from public.fw_workflow_executions where id = $1 for no key update nowait', [id])).toHaveLength(1)
    await redrive.query('commit')
    await cancelled
  })
  expect(await execution(database, id)).toMatchObject({ status: 'cancelled' })
  await database.query('select public.fw_dlq_purge($1)', ['0'])
})

describe('what holds settings waits for no message that a report may hold:', () => {
  test('the end of a lost lease leaves a child that fails for good to the next look while the message of its parent is locked', async () => {
    const { id, child, childHeld } = await family(database, {}, { max_attempts: 1 })
    await expireLeases(database, [childHeld])
    await withSessions(database, 2, async (reporter, ticking) => {
      await reporter.query('begin')
      await lockMessage(reporter, id)
      await ticking.query("set lock_timeout = '1ms'")
      await ticking.query('select public.fw_reap_expired_batches()')
      expect(await execution(database, child)).toMatchObject({ status: 'running' })
      await reporter.query('commit')
      await ticking.query('select public.fw_reap_expired_batches()')
    })
    expect(await execution(database, child)).toMatchObject({ status: 'failed' })
    await database.query('select public.fw_cancel_execution($1)', [id])
  })

  test('the end of an offer that no one took', async () => {
    const name = workflow()
    const organizationId = await organization(database)
    const x = await executor(database, name)
    const ids = await enqueue(database, name, organizationId, 2)
    await database.query('select public.fw_offer_batches()')
    await database.query("update public.fw_worker_runs set claimed_at = claimed_at - interval '11 seconds' where taken_at is null")
    await withSessions(database, 2, async (reporter, ticking) => {
      await reporter.query('begin')
      await lockMessage(reporter, ids[0] ?? '')
      await ticking.query("set lock_timeout = '1ms'")
      expect(await ticking.query('select lost, returned from public.fw_reap_expired_batches()')).toEqual([{ lost: '0', returned: '1' }])
      await reporter.query('commit')
    })
    // The other one is met once its lease has been over for a minute.
    await database.query("update public.fw_worker_runs set lease_expires_at = lease_expires_at - interval '2 minutes' where finished_at is null")
    await database.query('select public.fw_reap_expired_batches()')
    for (const id of ids) expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0 })
    expect(x).not.toBe('')
  })
})

test('a transaction that emits and then records a step takes the batch before the key of the event', async () => {
  const { x, held, organizationId } = await running(database)
  await withSessions(database, 2, async (step, other) => {
    await step.query('begin')
    await step.query("select public.fw_emit_event($1, 'k')", [organizationId])
    // Nobody is held up by the key yet: whoever holds the batch can wait for it.
    expect(one(await other.query<{ free: boolean }>("select pg_try_advisory_xact_lock(public.fw_event_lock($1, 'k')) as free", [organizationId])).free).toBe(true)
    await step.query('select public.fw_checkpoint($1, $2, $3, $4, 0, $5, 1)', [x, held.execution_id, held.batch_id, 'a', '1'])
    await step.query('commit')
  })
  await release(database, x, [held])
})
