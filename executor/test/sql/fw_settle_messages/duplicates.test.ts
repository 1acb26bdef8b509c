import { describe, expect, test } from 'vitest'
import { claim, claimOne, deadLetter, enqueue, execution, executor, expireLeases, makeVisible, messages, one, organization, release, report, reportFailures, sendRaw, sqlDatabase, workflow } from '../../support/sql.js'
import { expectInvariantsZero } from '../../support/database.js'

const database = sqlDatabase()

async function scene(settings = {}) {
  const name = workflow()
  const organizationId = await organization(database, settings)
  const x = await executor(database, name)
  const id = one(await enqueue(database, name, organizationId))
  const duplicate = { execution_id: id, organization_id: organizationId, workflow_name: name, attempt: 1 }
  return { name, organizationId, x, id, duplicate }
}

const isGone = async (messageId: string) =>
  (await database.query('select from pgmq.q_workflow_execution_queue where msg_id = $1', [messageId])).length === 0

describe('a second message for an execution', () => {
  test('that is queued is dropped, and the execution runs once', async () => {
    const { organizationId, x, id, duplicate } = await scene()
    const messageId = await sendRaw(database, duplicate)
    const claimed = [...(await claim(database, x)), ...(await claim(database, x))]
    expect(claimed.map((row) => row.execution_id)).toEqual([id])
    expect(await isGone(messageId)).toBe(true)
    expect(await messages(database, organizationId)).toHaveLength(1)
    expect(await report(database, x, claimed)).toEqual([])
  })

  test('that the same claim picked, beside work of another organization, has no place in the batch', async () => {
    const { name, x, id, duplicate } = await scene()
    await enqueue(database, name, await organization(database))
    await sendRaw(database, duplicate)
    const claimed = await claim(database, x)
    expect(claimed).toHaveLength(2)
    expect(await database.query('select size, open from public.fw_worker_runs where id = any ($1)', [claimed.map((row) => row.batch_id)])).toEqual([
      { size: 1, open: 1 },
      { size: 1, open: 1 },
    ])
    expect(claimed.map((row) => row.execution_id)).toContain(id)
    expect(await report(database, x, claimed)).toEqual([])
  })

  test('that waits for its retry is dropped, and does not bring the retry forward', async () => {
    const { x, id, duplicate } = await scene()
    await reportFailures(database, x, [{ ...(await claimOne(database, x)), delayMs: 3_600_000 }])
    const messageId = await sendRaw(database, { ...duplicate, attempt: 2 })
    expect(await claim(database, x)).toEqual([])
    expect(await isGone(messageId)).toBe(true)
    expect(await execution(database, id)).toMatchObject({ status: 'retry_pending', retry_count: 1 })
  })

  test('that is running is dropped, and the run is not disturbed', async () => {
    const { organizationId, x, id, duplicate } = await scene({ concurrency: 3 })
    const running = await claimOne(database, x)
    const before = await execution(database, id)
    const messageId = await sendRaw(database, { ...duplicate, attempt: 5 })
    expect(await claim(database, x)).toEqual([])
    expect(await isGone(messageId)).toBe(true)
    expect(await execution(database, id)).toEqual(before)
    expect(await report(database, x, [{ ...running, output: 'fine' }])).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'completed', output: 'fine' })
    expect(await messages(database, organizationId)).toEqual([])
  })

  test('that has completed is dropped, and its result stays', async () => {
    const { organizationId, x, id, duplicate } = await scene()
    await report(database, x, [{ ...(await claimOne(database, x)), output: 1 }])
    const before = await execution(database, id)
    await sendRaw(database, duplicate)
    expect(await claim(database, x)).toEqual([])
    expect(await messages(database, organizationId)).toEqual([])
    expect(await execution(database, id)).toEqual(before)
  })

  test('that was cancelled is dropped', async () => {
    const { organizationId, x, id, duplicate } = await scene()
    await report(database, x, [await claimOne(database, x)])
    await database.query("update public.fw_workflow_executions set status = 'cancelled' where id = $1", [id])
    await sendRaw(database, duplicate)
    expect(await claim(database, x)).toEqual([])
    expect(await messages(database, organizationId)).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'cancelled' })
  })

  test('that has failed revives it once, however many were sent', async () => {
    const { organizationId, x, id, duplicate } = await scene()
    const letter = await deadLetter(database, x, await claimOne(database, x))
    for (let i = 0; i < 3; i++) await sendRaw(database, duplicate)
    await database.query("select pgmq.delete('workflow_dlq', $1::bigint)", [letter])
    const claimed = [...(await claim(database, x)), ...(await claim(database, x))]
    expect(claimed.map((row) => [row.execution_id, row.attempt])).toEqual([[id, 1]])
    expect(await report(database, x, claimed)).toEqual([])
    expect(await claim(database, x)).toEqual([])
    expect(await messages(database, organizationId)).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'completed' })
  })
})

describe('a message sent by hand for a failed execution', () => {
  test.for([
    ['no attempt', undefined, 1],
    ['attempt 3', 3, 3],
    ['an attempt that is text', '2', 2],
    ['an attempt that is nonsense', 'many', 1],
    ['attempt 0', 0, 1],
    ['attempt -1', -1, 1],
    ['attempt 1.5', 1.5, 1],
    ['an attempt beyond all numbers', 1e20, 1],
  ] as const)('with %s starts where that says', async ([, attempt, expected]) => {
    const { x, id, duplicate } = await scene()
    const letter = await deadLetter(database, x, await claimOne(database, x))
    await database.query("select pgmq.delete('workflow_dlq', $1::bigint)", [letter])
    await sendRaw(database, { ...duplicate, attempt })
    const claimed = await claimOne(database, x)
    expect(claimed).toMatchObject({ execution_id: id, attempt: expected })
    expect(await execution(database, id)).toMatchObject({ status: 'running', retry_count: expected - 1, last_error: null, error_category: null })
    await expectInvariantsZero(database.pool)
  })

  test('runs it without a workflow name, too', async () => {
    const { x, id, organizationId } = await scene()
    const letter = await deadLetter(database, x, await claimOne(database, x))
    await database.query("select pgmq.delete('workflow_dlq', $1::bigint)", [letter])
    await sendRaw(database, { execution_id: id, organization_id: organizationId })
    expect(await claimOne(database, x)).toMatchObject({ execution_id: id, attempt: 1 })
    await expectInvariantsZero(database.pool)
  })
})

describe('the message of a running execution, deleted by hand', () => {
  test('does not keep the run from completing', async () => {
    const { organizationId, x, id } = await scene()
    const running = await claimOne(database, x)
    await database.query('delete from pgmq.q_workflow_execution_queue where msg_id = $1', [(await execution(database, id)).msg_id])
    expect(await report(database, x, [running])).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'completed' })
    expect(await messages(database, organizationId)).toEqual([])
  })

  test('and sent again stands for it from then on: the run completes and takes the message with it', async () => {
    const { organizationId, x, id, duplicate } = await scene({ concurrency: 2 })
    const running = await claimOne(database, x)
    await database.query('delete from pgmq.q_workflow_execution_queue where msg_id = $1', [(await execution(database, id)).msg_id])
    const messageId = await sendRaw(database, duplicate)
    expect(await claim(database, x)).toEqual([])
    expect(await claim(database, x)).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'running', msg_id: messageId, batch_id: running.batch_id })
    await expectInvariantsZero(database.pool)
    expect(await report(database, x, [running])).toEqual([])
    expect(await messages(database, organizationId)).toEqual([])
  })

  test('and sent again during a later attempt keeps that attempt', async () => {
    const { organizationId, x, id, duplicate } = await scene({ concurrency: 2 })
    await reportFailures(database, x, [{ ...(await claimOne(database, x)), delayMs: 0 }])
    await makeVisible(database, [id])
    const running = await claimOne(database, x)
    expect(running.attempt).toBe(2)
    await database.query('delete from pgmq.q_workflow_execution_queue where msg_id = $1', [(await execution(database, id)).msg_id])
    await sendRaw(database, duplicate)
    await claim(database, x)
    await claim(database, x)
    expect(await execution(database, id)).toMatchObject({ status: 'running', retry_count: 1 })
    expect(one(await messages(database, organizationId)).message).toMatchObject({ attempt: 2 })
    await release(database, x, [running])
    expect(await claimOne(database, x)).toMatchObject({ execution_id: id, attempt: 2 })
  })

  test('and sent again after the lease was lost leads to the next attempt', async () => {
    const { x, id, duplicate } = await scene()
    const running = await claimOne(database, x)
    await database.query('delete from pgmq.q_workflow_execution_queue where msg_id = $1', [(await execution(database, id)).msg_id])
    await expireLeases(database, [running])
    await sendRaw(database, duplicate)
    const claimed = [...(await claim(database, x)), ...(await claim(database, x)), ...(await claim(database, x))]
    expect(claimed.map((row) => [row.execution_id, row.attempt])).toEqual([[id, 2]])
    expect(await report(database, x, [running])).toEqual([id])
    expect(await report(database, x, claimed)).toEqual([])
  })
})

test('the message of a running execution that was made visible by hand is hidden again until its lease ends', async () => {
  const { organizationId, x, id } = await scene({ concurrency: 2 })
  const running = await claimOne(database, x)
  const before = await messages(database, organizationId)
  await makeVisible(database, [id])
  expect(await claim(database, x)).toEqual([])
  expect(await messages(database, organizationId)).toEqual(before)
  expect(await report(database, x, [running])).toEqual([])
})

test('the attempt in the message of a queued execution, changed by hand, is obeyed', async () => {
  const { organizationId, x, id } = await scene()
  await database.query(
    "update pgmq.q_workflow_execution_queue set message = jsonb_set(message, '{attempt}', '4') where message ->> 'organization_id' = $1",
    [organizationId],
  )
  expect(await claimOne(database, x)).toMatchObject({ execution_id: id, attempt: 4 })
  expect(await execution(database, id)).toMatchObject({ status: 'running', retry_count: 3 })
})

test('the message of a queued execution, deleted by hand and sent again, runs it', async () => {
  const { x, id, duplicate } = await scene()
  await database.query('delete from pgmq.q_workflow_execution_queue where msg_id = $1', [(await execution(database, id)).msg_id])
  await sendRaw(database, duplicate)
  expect(await claimOne(database, x)).toMatchObject({ execution_id: id, attempt: 1 })
})

test('a running execution whose message was sent again by hand still has its deadline watched', async () => {
  const { x, id, duplicate } = await scene({ concurrency: 2 })
  await claimOne(database, x)
  await database.query('delete from pgmq.q_workflow_execution_queue where msg_id = $1', [(await execution(database, id)).msg_id])
  await sendRaw(database, duplicate)
  await claim(database, x)
  await database.query("update public.fw_workflow_executions set deadline_at = now() - interval '1 second' where id = $1", [id])
  const ended = await database.query<{ execution_id: string }>('select * from public.fw_check_deadlines()')
  expect(ended.map(({ execution_id }) => execution_id)).toEqual([id])
})
