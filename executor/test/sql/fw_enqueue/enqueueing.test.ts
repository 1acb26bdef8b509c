import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { claim, claimOne, enqueue, execution, executor, makeVisible, messages, one, organization, sqlDatabase, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

describe('fw_enqueue', () => {
  test('makes one queued execution and its one message, and returns the id', async () => {
    const organizationId = await organization(database)
    const { id } = one(
      await database.query<{ id: string }>(
        `select public.fw_enqueue('invoice', '{"n": 1}', $1, p_metadata => '{"by": "me"}', p_workflow_version => 'v2') as id`,
        [organizationId],
      ),
    )
    const row = await execution(database, id)
    expect(row).toMatchObject({
      workflow_name: 'invoice',
      workflow_version: 'v2',
      organization_id: organizationId,
      status: 'queued',
      input: { n: 1 },
      metadata: { by: 'me' },
      idempotency_key: null,
      retry_count: 0,
      next_retry_at: null,
      started_at: null,
      completed_at: null,
    })
    const message = one(await messages(database, organizationId))
    expect(message.msg_id).toBe(row.msg_id)
    expect(message.message).toEqual({ execution_id: id, organization_id: organizationId, workflow_name: 'invoice', attempt: 1 })
  })

  test('takes JSON null and any JSON value as the input', async () => {
    const name = workflow()
    const organizationId = await organization(database)
    const x = await executor(database, name)
    const inputs = [null, 0, 'text', [1, [2]], { deep: { er: 'ä😀"\\' } }]
    for (const input of inputs) {
      await database.query('select public.fw_enqueue($1, $2, $3)', [name, JSON.stringify(input), organizationId])
    }
    const claimed = await claim(database, x)
    expect(claimed.map(({ input }) => JSON.stringify(input)).sort()).toEqual(inputs.map((input) => JSON.stringify(input)).sort())
  })

  test('honours the delay: nothing claims the execution before, and something does after', async () => {
    const name = workflow()
    const organizationId = await organization(database)
    const x = await executor(database, name)
    const { id, due } = one(
      await database.query<{ id: string; due: Date }>(
        "select public.fw_enqueue($1, '{}', $2, p_delay => '1 hour') as id, now() + interval '1 hour' as due",
        [name, organizationId],
      ),
    )
    expect(one(await messages(database, organizationId)).vt).toEqual(due)
    expect(await claim(database, x)).toEqual([])
    expect(await claim(database, x, 500, [organizationId])).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0 })
    await makeVisible(database, [id])
    expect(await claimOne(database, x)).toMatchObject({ execution_id: id, attempt: 1 })
  })

  test('honours the delay of one beside others that are due', async () => {
    const name = workflow()
    const organizationId = await organization(database)
    const x = await executor(database, name)
    await database.query("select public.fw_enqueue($1, '{}', $2, p_delay => '1 hour')", [name, organizationId])
    const due = await enqueue(database, name, organizationId, 2)
    const claimed = await claim(database, x)
    expect(claimed.map((row) => row.execution_id).sort()).toEqual(due.toSorted())
  })

  test('is part of the transaction of its caller: a rollback leaves nothing behind', async () => {
    const organizationId = randomUUID()
    await withSessions(database, 1, async (session) => {
      await session.query('begin')
      const id = one(await enqueue(session, 'w', organizationId))
      expect(await messages(session, organizationId)).toHaveLength(1)
      expect(await messages(database, organizationId)).toEqual([])
      await session.query('rollback')
      expect(await messages(database, organizationId)).toEqual([])
      expect(await database.query('select from public.fw_workflow_executions where id = $1', [id])).toEqual([])
      expect(await database.query('select from public.fw_module_settings where organization_id = $1', [organizationId])).toEqual([])
    })
  })

  test('is claimed in the order of enqueueing', async () => {
    const name = workflow()
    const organizationId = await organization(database, { batchSize: 2, concurrency: 5 })
    const x = await executor(database, name)
    const ids: string[] = []
    for (let i = 0; i < 6; i++) ids.push(...(await enqueue(database, name, organizationId)))
    const claimed: string[] = []
    for (let i = 0; i < 3; i++) claimed.push(...(await claim(database, x, 2)).map((row) => row.execution_id).sort())
    expect(claimed).toEqual([0, 2, 4].flatMap((i) => ids.slice(i, i + 2).sort()))
  })

  test('wakes executors by a NOTIFY of the organization only while one of them has room, and not for delayed work', async () => {
    const name = workflow()
    const organizationId = await organization(database)
    const heard: (string | undefined)[] = []
    const listener = await database.pool.connect()
    try {
      listener.on('notification', ({ channel, payload }) => heard.push(`${channel} ${payload ?? ''}`))
      await listener.query('listen fw_work')
      await enqueue(database, name, organizationId)
      await listener.query('select')
      expect(heard).toEqual([])

      const x = await executor(database, name)
      await claim(database, x)
      await database.query("select public.fw_enqueue($1, '{}', $2, p_delay => '1 second')", [name, organizationId])
      await listener.query('select')
      expect(heard).toEqual([])

      await enqueue(database, name, organizationId, 3)
      await listener.query('select')
      expect(heard).toEqual([`fw_work "${organizationId}"`])
    } finally {
      listener.removeAllListeners('notification')
      listener.release(true)
    }
  })
})
