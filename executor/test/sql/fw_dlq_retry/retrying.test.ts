import { describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { claim, claimOne, contents, deadLetter, enqueue, execution, executor, messages, one, organization, type Queryable, report, sendRaw, sqlDatabase, untilBlocked, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

const retry = async (letter: string | null, on: Queryable = database) =>
  one(await on.query<{ id: string }>('select public.fw_dlq_retry($1) as id', [letter])).id

async function scene() {
  const name = workflow()
  const organizationId = await organization(database)
  const x = await executor(database, name)
  const id = one(await enqueue(database, name, organizationId))
  const held = await claimOne(database, x)
  await report(database, x, [{ ...held, done: false, completed: [{ name: 'a', index: 0, output: 'kept' }] }])
  return { name, organizationId, x, id, letter: await deadLetter(database, x, held) }
}

describe('fw_dlq_retry', () => {
  test('revives the execution as attempt 1, its error cleared and its steps kept', async () => {
    const { name, organizationId, x, id, letter } = await scene()
    const messageId = await retry(letter)
    expect(await execution(database, id)).toMatchObject({
      status: 'queued',
      retry_count: 0,
      msg_id: messageId,
      dlq_msg_id: null,
      discarded_at: null,
      last_error: null,
      error_category: null,
      completed_at: null,
      next_retry_at: null,
    })
    expect(one(await messages(database, organizationId))).toMatchObject({
      msg_id: messageId,
      message: { execution_id: id, organization_id: organizationId, workflow_name: name, attempt: 1 },
    })
    expect(Object.keys(one(await messages(database, organizationId)).message as object).sort()).toEqual([
      'attempt',
      'execution_id',
      'organization_id',
      'workflow_name',
    ])
    expect(await database.query('select from public.fw_dlq where organization_id = $1', [organizationId])).toEqual([])
    const claimed = await claimOne(database, x)
    expect(claimed).toMatchObject({ execution_id: id, attempt: 1, steps: [{ name: 'a', output: 'kept' }] })
    expect(await report(database, x, [claimed])).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'completed' })
  })

  test('can be used again and again on an execution that fails again and again', async () => {
    const { x, id, letter } = await scene()
    let last = letter
    for (let i = 0; i < 3; i++) {
      await retry(last)
      last = await deadLetter(database, x, await claimOne(database, x), `again ${i}`)
    }
    expect(await execution(database, id)).toMatchObject({ status: 'failed', last_error: 'again 2', dlq_msg_id: last })
    await expectInvariantsZero(database.pool)
  })

  test('of an unknown or NULL id raises FW003 and changes nothing', async () => {
    await scene()
    const before = await contents(database)
    await expect(retry('987654321')).rejects.toMatchObject({
      code: 'FW003',
      message: 'there is no dead letter 987654321',
      detail: 'It was retried or purged already, or never was. Nothing was changed.',
      hint: expect.stringContaining('fw_dlq') as unknown,
    })
    await expect(retry(null)).rejects.toMatchObject({ code: 'FW003', message: 'there is no dead letter NULL' })
    expect(await contents(database)).toEqual(before)
  })

  test('a second time raises FW003 and changes nothing', async () => {
    const { letter } = await scene()
    await retry(letter)
    const before = await contents(database)
    await expect(retry(letter)).rejects.toMatchObject({ code: 'FW003' })
    expect(await contents(database)).toEqual(before)
  })

  test('by two sessions at once works for one of them', async () => {
    const { organizationId, letter } = await scene()
    await withSessions(database, 2, async (first, second) => {
      await first.query('begin')
      await retry(letter, first)
      const waiting = expect(retry(letter, second)).rejects.toMatchObject({ code: 'FW003' })
      await untilBlocked(database, second)
      await first.query('commit')
      await waiting
    })
    expect(await messages(database, organizationId)).toHaveLength(1)
  })

  test('raises FW004, naming the state, once the execution was put back by hand and runs or has run', async () => {
    const { x, id, letter } = await scene()
    // The recipe of the guide without its second statement.
    await database.query(
      `with dlq_msg as (select message from pgmq.q_workflow_dlq where msg_id = $1)
       select pgmq.send('workflow_execution_queue', jsonb_set(message, '{attempt}', '1'::jsonb)) from dlq_msg`,
      [letter],
    )
    const claimed = await claimOne(database, x)
    expect(claimed.execution_id).toBe(id)
    for (const state of ['running', 'completed']) {
      const before = await contents(database)
      await expect(retry(letter)).rejects.toMatchObject({
        code: 'FW004',
        message: `execution ${id} of dead letter ${letter} is ${state}, so there is nothing to retry`,
        hint: `Discard the dead letter: select pgmq.delete('workflow_dlq', ${letter})`,
      })
      expect(await contents(database)).toEqual(before)
      if (state === 'running') await report(database, x, [claimed])
    }
    await database.query("select pgmq.delete('workflow_dlq', $1::bigint)", [letter])
    await expectInvariantsZero(database.pool)
  })

  test('runs the execution once where it was put back by hand as well, but not yet claimed', async () => {
    const { organizationId, x, id, letter } = await scene()
    await database.query(
      `with dlq_msg as (select message from pgmq.q_workflow_dlq where msg_id = $1)
       select pgmq.send('workflow_execution_queue', jsonb_set(message, '{attempt}', '1'::jsonb)) from dlq_msg`,
      [letter],
    )
    await retry(letter)
    expect(await messages(database, organizationId)).toHaveLength(2)
    const claimed = [...(await claim(database, x)), ...(await claim(database, x))]
    expect(claimed.map((row) => row.execution_id)).toEqual([id])
    expect(await report(database, x, claimed)).toEqual([])
    expect(await messages(database, organizationId)).toEqual([])
  })

  test('leaves one dead letter when an execution that was put back by hand fails again', async () => {
    const { organizationId, x, id, letter } = await scene()
    await database.query(
      `with dlq_msg as (select message from pgmq.q_workflow_dlq where msg_id = $1)
       select pgmq.send('workflow_execution_queue', jsonb_set(message, '{attempt}', '1'::jsonb)) from dlq_msg`,
      [letter],
    )
    const again = await deadLetter(database, x, await claimOne(database, x), 'again')
    expect(again).not.toBe(letter)
    const letters = await database.query('select msg_id, error from public.fw_dlq where organization_id = $1', [organizationId])
    expect(letters).toEqual([{ msg_id: again, error: 'again' }])
    expect(await execution(database, id)).toMatchObject({ status: 'failed', dlq_msg_id: again, discarded_at: null })
  })

  test('keeps what else the message carries, whatever its members are called', async () => {
    const name = workflow()
    const organizationId = await organization(database)
    const x = await executor(database, name)
    const id = one(await enqueue(database, name, organizationId))
    await database.query(
      `update pgmq.q_workflow_execution_queue set message = message || '{"original": {"a": 1}, "trace": "t"}' where message ->> 'execution_id' = $1`,
      [id],
    )
    await retry(await deadLetter(database, x, await claimOne(database, x)))
    expect(one(await messages(database, organizationId)).message).toMatchObject({ execution_id: id, original: { a: 1 }, trace: 't', attempt: 1 })
    expect(await claimOne(database, x)).toMatchObject({ execution_id: id, attempt: 1 })
  })

  test('wakes an executor that has room', async () => {
    const { organizationId, x, letter } = await scene()
    await claim(database, x)
    const heard: unknown[] = []
    const listener = await database.pool.connect()
    try {
      listener.on('notification', ({ payload }) => heard.push(payload))
      await listener.query('listen fw_work')
      await retry(letter)
      await listener.query('select')
      expect(heard).toEqual([`"${organizationId}"`])
    } finally {
      listener.removeAllListeners('notification')
      listener.release(true)
    }
  })
})

describe('fw_dlq_retry of a rejected message', () => {
  test.for([42, 'text', [1, 2], null])('puts back exactly what had been sent: %j', async (message) => {
    const x = await executor(database, workflow())
    await sendRaw(database, message)
    await claim(database, x)
    const { msg_id } = one(await database.query<{ msg_id: string }>('select msg_id from public.fw_dlq order by msg_id desc limit 1'))
    const messageId = await retry(msg_id)
    const sent = await database.query('select message from pgmq.q_workflow_execution_queue where msg_id = $1', [messageId])
    expect(sent).toEqual([{ message }])
    // It is rejected again, once.
    await claim(database, x)
    expect(await database.query('select from pgmq.q_workflow_execution_queue where msg_id = $1', [messageId])).toEqual([])
  })

  test('puts an object back without what the rejection added', async () => {
    const x = await executor(database, workflow())
    const organizationId = await organization(database)
    await sendRaw(database, { organization_id: organizationId, execution_id: 'later', attempt: 1, note: 'mine' })
    await claim(database, x)
    const { msg_id } = one(await database.query<{ msg_id: string }>('select msg_id from public.fw_dlq where organization_id = $1', [organizationId]))
    await retry(msg_id)
    expect(one(await messages(database, organizationId)).message).toEqual({
      organization_id: organizationId,
      execution_id: 'later',
      attempt: 1,
      note: 'mine',
    })
  })

  test('puts back an object of which a member is called original', async () => {
    const x = await executor(database, workflow())
    const organizationId = await organization(database)
    await sendRaw(database, { organization_id: organizationId, execution_id: 'later', attempt: 1, original: { of: 'the sender' } })
    await claim(database, x)
    const { msg_id } = one(await database.query<{ msg_id: string }>('select msg_id from public.fw_dlq where organization_id = $1', [organizationId]))
    const messageId = await retry(msg_id)
    const sent = await database.query('select message from pgmq.q_workflow_execution_queue where msg_id = $1', [messageId])
    expect(sent).toEqual([{ message: { organization_id: organizationId, execution_id: 'later', attempt: 1, original: { of: 'the sender' } } }])
  })
})
