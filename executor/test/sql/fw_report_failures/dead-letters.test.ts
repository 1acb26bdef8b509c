import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { claim, claimOne, contents, enqueue, execution, executor, expireLeases, messages, one, organization, type Policy, reportFailures, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function scene(policy: Policy = {}, count = 1) {
  const name = workflow()
  const organizationId = await organization(database, { batchSize: 50 })
  const x = await executor(database, name, policy)
  const ids = await enqueue(database, name, organizationId, count)
  return { name, organizationId, x, ids, id: ids[0] ?? '' }
}

const letters = (organizationId: string) => database.query('select * from public.fw_dlq where organization_id = $1 order by msg_id', [organizationId])

describe('an execution', () => {
  test('is dead-lettered after its fifth failed attempt, and not before', async () => {
    const { name, organizationId, x, id } = await scene()
    for (let attempt = 1; attempt <= 5; attempt++) {
      expect(await letters(organizationId)).toEqual([])
      const held = await claimOne(database, x)
      expect(held.attempt).toBe(attempt)
      const outcome = await reportFailures(database, x, [{ ...held, error: `failure ${attempt}`, category: 'TIMEOUT', delayMs: 0 }])
      expect(outcome).toEqual({ [id]: attempt < 5 ? 'retry_pending' : 'failed' })
    }
    const row = await execution(database, id)
    expect(row).toMatchObject({ status: 'failed', retry_count: 4, last_error: 'failure 5', error_category: 'TIMEOUT', next_retry_at: null, discarded_at: null })
    expect(await messages(database, organizationId)).toEqual([])
    const letter = one(await letters(organizationId))
    expect(letter).toMatchObject({
      msg_id: row.dlq_msg_id,
      execution_id: id,
      workflow_name: name,
      attempt: '5',
      error: 'failure 5',
      error_category: 'TIMEOUT',
      rejected: false,
    })
    expect(new Date(String(letter['failed_at']))).toEqual(row.completed_at)
    expect(letter['message']).toEqual({
      execution_id: id,
      organization_id: organizationId,
      workflow_name: name,
      attempt: 5,
      error: 'failure 5',
      error_category: 'TIMEOUT',
      failed_at: letter['failed_at'],
      executor: 'test',
    })
    expect(await claim(database, x)).toEqual([])
  })

  test('is dead-lettered after as many attempts as the policy of its workflow says', async () => {
    const { organizationId, x } = await scene({ max_attempts: 2 })
    await reportFailures(database, x, [{ ...(await claimOne(database, x)), delayMs: 0 }])
    expect(await letters(organizationId)).toEqual([])
    await reportFailures(database, x, [{ ...(await claimOne(database, x)), delayMs: 0 }])
    expect(one(await letters(organizationId))).toMatchObject({ attempt: '2' })
  })

  test('is dead-lettered at once for a permanent error', async () => {
    const { organizationId, x, id } = await scene()
    const held = await claimOne(database, x)
    expect(await reportFailures(database, x, [{ ...held, error: 'no such customer', category: 'NOT_FOUND', permanent: true }])).toEqual({ [id]: 'failed' })
    expect(one(await letters(organizationId))).toMatchObject({ attempt: '1', error: 'no such customer', error_category: 'NOT_FOUND' })
    expect(one(await database.query('select * from public.fw_worker_runs where id = $1', [held.batch_id]))).toMatchObject({
      open: 0,
      failed: 0,
      dead_lettered: 1,
      finished_at: expect.any(Date) as unknown,
    })
  })

  test('keeps what else its message carried, in the dead letter too', async () => {
    const { organizationId, x, id } = await scene()
    await database.query(
      `update pgmq.q_workflow_execution_queue set message = message || '{"trace": "t-1"}' where message ->> 'execution_id' = $1`,
      [id],
    )
    await reportFailures(database, x, [{ ...(await claimOne(database, x)), permanent: true }])
    expect(one(await letters(organizationId))['message']).toMatchObject({ trace: 't-1' })
  })

  test('whose message was deleted by hand while it ran still gets a dead letter', async () => {
    const { organizationId, x, id } = await scene()
    const held = await claimOne(database, x)
    await database.query("delete from pgmq.q_workflow_execution_queue where message ->> 'execution_id' = $1", [id])
    await reportFailures(database, x, [{ ...held, permanent: true }])
    expect(one(await letters(organizationId))).toMatchObject({ execution_id: id, attempt: '1' })
    expect(await execution(database, id)).toMatchObject({ status: 'failed' })
  })
})

test('one call with retries, a permanent error and fenced executions gives each its own outcome', async () => {
  const { organizationId, x, ids } = await scene({}, 3)
  const held = await claim(database, x)
  const byId = (id: string | undefined) => one(held.filter((row) => row.execution_id === id))
  const stranger = randomUUID()
  const outcome = await reportFailures(database, x, [
    { ...byId(ids[0]), error: 'first' },
    { ...byId(ids[1]), batch_id: randomUUID(), error: 'second' },
    { ...byId(ids[2]), error: 'third', permanent: true },
    { execution_id: stranger, batch_id: byId(ids[0]).batch_id },
  ])
  expect(outcome).toEqual({ [ids[0] ?? '']: 'retry_pending', [ids[1] ?? '']: 'fenced', [ids[2] ?? '']: 'failed', [stranger]: 'fenced' })
  expect(await execution(database, ids[0] ?? '')).toMatchObject({ status: 'retry_pending', last_error: 'first' })
  expect(await execution(database, ids[1] ?? '')).toMatchObject({ status: 'running', last_error: null })
  expect(one(await letters(organizationId))).toMatchObject({ execution_id: ids[2], error: 'third' })
  expect(one(await database.query('select * from public.fw_worker_runs where organization_id = $1', [organizationId]))).toMatchObject({
    size: 3,
    open: 1,
    failed: 1,
    dead_lettered: 1,
  })
})

test('an execution that is named twice in one call fails once, with one dead letter', async () => {
  const { organizationId, x, id } = await scene()
  const held = await claimOne(database, x)
  await reportFailures(database, x, [{ ...held, permanent: true }, { ...held, permanent: true }])
  expect(await execution(database, id)).toMatchObject({ status: 'failed' })
  expect(await letters(organizationId)).toHaveLength(1)
})

describe('a failure is fenced, and changes nothing,', () => {
  test('from another executor, after the lease has run out, and when reported again', async () => {
    const { name, x, id } = await scene()
    const y = await executor(database, name)
    const held = await claimOne(database, x)
    const running = await contents(database)
    expect(await reportFailures(database, y, [{ ...held, permanent: true }])).toEqual({ [id]: 'fenced' })
    expect(await contents(database)).toEqual(running)
    await expireLeases(database, [held])
    const expired = await contents(database)
    expect(await reportFailures(database, x, [{ ...held, permanent: true }])).toEqual({ [id]: 'fenced' })
    expect(await contents(database)).toEqual(expired)
    const again = await claimOne(database, y)
    await reportFailures(database, y, [{ ...again, delayMs: 3_600_000 }])
    const failed = await contents(database)
    expect(await reportFailures(database, y, [{ ...again, permanent: true }])).toEqual({ [id]: 'fenced' })
    expect(await contents(database)).toEqual(failed)
  })
})
