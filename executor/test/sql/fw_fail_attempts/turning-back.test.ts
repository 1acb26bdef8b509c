import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { claim, claimOne, enqueue, execution, expireLeases, one, report, reportFailures, sqlDatabase } from '../../support/sql.js'
import { running, scene } from '../fw_check_deadlines/scene.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

const booked = { name: 'booked', index: 0, output: { seat: 1 }, compensable: true }
const letters = (id: string) => database.query<{ message: Record<string, unknown> }>('select message from public.fw_dlq where execution_id = $1', [id])

describe('one that has failed for good, and has completed something that can be undone,', () => {
  test('is handed over at once, to be undone; to its executor the attempt is tried again', async () => {
    const { x, id, held } = await running(database, { max_attempts: 5, backoff_initial_ms: 3_600_000, backoff_max_ms: 3_600_000 })
    await report(database, x, [{ ...held, done: false, completed: [booked] }])
    const [row] = await database.query('select * from public.fw_report_failures($1, array[$2::uuid], array[$3::uuid], array[$4], array[$5], array[true])', [
      x, id, held.batch_id, 'no stock', 'NOT_FOUND'])
    expect(row).toMatchObject({ place: 1, outcome: 'retry_pending', retry_in_ms: '0' })
    expect(await letters(id)).toEqual([])
    // Its executor knows that already.
    expect(await database.query('select * from public.fw_ended_executions($1::uuid[], $2::uuid[])', [[id], [held.batch_id]])).toEqual([])
    const again = await claimOne(database, x)
    expect(again).toMatchObject({
      execution_id: id,
      attempt: 2,
      compensating: { status: 'failed', error: 'no stock', category: 'NOT_FOUND', dead_letter: true, attempt: 1 },
      steps: [{ name: 'booked', output: { seat: 1 }, compensable: true }],
    })
  })

  test('also when the lease of its last attempt has run out', async () => {
    const { x, id, held } = await running(database, { max_attempts: 1 })
    await report(database, x, [{ ...held, done: false, completed: [booked] }])
    await expireLeases(database, [held])
    await database.query('select * from public.fw_reap_expired_batches()')
    expect(await execution(database, id)).toMatchObject({ status: 'retry_pending', compensating: { status: 'failed', error: 'the lease ran out before the executor reported' } })
    expect(one(await database.query('select lost, dead_lettered from public.fw_worker_runs where id = $1', [held.batch_id]))).toEqual({ lost: 1, dead_lettered: 0 })
    expect(await letters(id)).toEqual([])
    expect(await claimOne(database, x)).toMatchObject({ execution_id: id, attempt: 2 })
  })

  test('is dead-lettered once its compensations have failed five times, whatever its own policy', async () => {
    const { x, id, held } = await running(database, { max_attempts: 1, backoff_initial_ms: 0 })
    await report(database, x, [{ ...held, done: false, completed: [booked] }])
    await reportFailures(database, x, [{ ...held, error: 'no stock' }])
    for (let attempt = 1; attempt <= 5; attempt++) {
      const again = await claimOne(database, x)
      expect(await reportFailures(database, x, [{ ...again, error: `trouble ${attempt}` }])).toEqual({ [id]: attempt < 5 ? 'retry_pending' : 'failed' })
    }
    const error = 'no stock; its compensation did not finish: trouble 5; not compensated: booked'
    expect(one(await letters(id)).message).toMatchObject({ error, error_category: 'RUNTIME', attempt: 1, compensated: [], not_compensated: ['booked'] })
    expect(await execution(database, id)).toMatchObject({ status: 'failed', last_error: error })
  })

  test('that an executor of an older version undoes, and says so itself, is not told of twice', async () => {
    const { x, id, held } = await running(database, { max_attempts: 1 })
    await report(database, x, [{ ...held, done: false, completed: [booked] }])
    await reportFailures(database, x, [{ ...held, error: 'no stock' }])
    const again = await claimOne(database, x)
    await database.query("select public.fw_begin_compensation($1, $2, $3, 'no stock', 'RUNTIME')", [x, id, again.batch_id])
    await database.query("select public.fw_record_compensation($1, $2, $3, 'booked')", [x, id, again.batch_id])
    await reportFailures(database, x, [{ ...again, error: 'no stock; compensated: booked', permanent: true }])
    expect(await execution(database, id)).toMatchObject({ status: 'failed', last_error: 'no stock; compensated: booked' })
  })

  test('and those that have not end apart, in one report', async () => {
    const { name, organizationId, x, id } = await scene(database, { max_attempts: 1 })
    await enqueue(database, name, organizationId, 4)
    const held = await claim(database, x)
    const isTurned = (each: { execution_id: string }) => held.findIndex((other) => other.execution_id === each.execution_id) % 2 === 0
    await report(database, x, held.filter(isTurned).map((each) => ({ ...each, done: false, completed: [booked] })))
    const outcomes = await reportFailures(database, x, held.map((each) => ({ ...each, error: `of ${each.execution_id}` })))
    expect(outcomes).toEqual(Object.fromEntries(held.map((each) => [each.execution_id, isTurned(each) ? 'retry_pending' : 'failed'])))
    for (const each of held) expect((await letters(each.execution_id)).length).toBe(isTurned(each) ? 0 : 1)
    expect(held.map(({ execution_id }) => execution_id)).toContain(id)
    const again = await claim(database, x)
    expect(again.map(({ execution_id }) => execution_id).sort()).toEqual(held.filter(isTurned).map(({ execution_id }) => execution_id).sort())
  })
})

test('a dead letter that is put back keeps nothing of what was undone, and its steps are forgotten', async () => {
  const { x, id, held } = await running(database, { max_attempts: 1 })
  await report(database, x, [{ ...held, done: false, completed: [booked, { name: 'plain', index: 1, output: 1 }] }])
  await reportFailures(database, x, [{ ...held, error: 'no stock' }])
  const again = await claimOne(database, x)
  await database.query("select public.fw_record_compensation($1, $2, $3, 'booked')", [x, id, again.batch_id])
  await reportFailures(database, x, [{ ...again, error: 'no stock', permanent: true }])
  await database.query('select public.fw_dlq_retry(msg_id) from public.fw_dlq where execution_id = $1', [id])
  const [message] = await database.query<{ message: object }>("select message from pgmq.q_workflow_execution_queue where message ->> 'execution_id' = $1", [id])
  expect(Object.keys(message?.message ?? {}).sort()).toEqual(['attempt', 'execution_id', 'organization_id', 'workflow_name'])
  const anew = await claimOne(database, x)
  expect(anew).toMatchObject({ attempt: 1, compensating: null })
  expect(anew.steps?.map(({ name }) => name)).toEqual(['plain'])
})
