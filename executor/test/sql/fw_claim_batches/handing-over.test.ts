import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { claim, claimOne, enqueue, execution, executor, makeVisible, messages, one, organization, release, report, reportFailures, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function settings(organizationId: string) {
  return one(await database.query('select * from public.fw_module_settings where organization_id = $1', [organizationId]))
}

describe('what a claim hands over', () => {
  test('is everything that a first attempt needs', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const organizationId = await organization(database, { visibilityTimeout: 45 })
    const { id } = one(
      await database.query<{ id: string }>(`select public.fw_enqueue($1, '{"n": 1}', $2, p_workflow_version => '7') as id`, [name, organizationId]),
    )
    const claimed = await claimOne(database, x)
    expect(claimed).toEqual({
      batch_id: claimed.batch_id,
      organization_id: organizationId,
      lease_seconds: 45,
      execution_id: id,
      workflow_name: name,
      workflow_version: '7',
      attempt: 1,
      input: { n: 1 },
      steps: null,
      compensating: null,
      is_resuming: false,
    })
    expect(await execution(database, id)).toMatchObject({ status: 'running', batch_id: claimed.batch_id, retry_count: 0 })
  })

  test('is invisible until exactly the end of its lease', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const organizationId = await organization(database, { visibilityTimeout: 45 })
    const id = one(await enqueue(database, name, organizationId))
    const { batch_id } = await claimOne(database, x)
    const run = one(
      await database.query<{ lease_expires_at: Date; seconds: string; executor_id: string; taken: boolean; size: number; open: number }>(
        `select lease_expires_at, extract(epoch from lease_expires_at - claimed_at) as seconds, executor_id, taken_at is not null as taken, size, open
         from public.fw_worker_runs where id = $1`,
        [batch_id],
      ),
    )
    expect(run).toMatchObject({ seconds: '45.000000', executor_id: x, taken: true, size: 1, open: 1 })
    expect(one(await messages(database, organizationId)).vt).toEqual(run.lease_expires_at)
    expect(await claim(database, x)).toEqual([])
    expect((await execution(database, id)).started_at).not.toBeNull()
  })

  test('of several organizations keeps to the length of each one\'s lease, and to the timeout of each workflow', async () => {
    const [quick, slow, unlimited] = [workflow(), workflow(), workflow()]
    const known = [{ name: quick, timeout_minutes: 5 }, { name: slow, timeout_minutes: 90 }, { name: unlimited }]
    const { id: x } = one(await database.query<{ id: string }>("select public.fw_register_executor('test', $1) as id", [JSON.stringify(known)]))
    const leases = new Map<string, number>()
    for (const seconds of [31, 45, 31, 120]) leases.set(await organization(database, { visibilityTimeout: seconds }), seconds)
    for (const id of leases.keys()) for (const name of [quick, slow, unlimited]) await enqueue(database, name, id)
    expect(await claim(database, x)).toHaveLength(12)
    for (const [id, seconds] of leases) {
      const hidden = await database.query<{ hidden: string; expires: boolean }>(
        `select extract(epoch from q.vt - r.claimed_at)::integer as hidden, q.vt = r.lease_expires_at as expires
         from public.fw_worker_runs r join public.fw_workflow_executions e on e.batch_id = r.id
         join pgmq.q_workflow_execution_queue q on q.msg_id = e.msg_id where r.organization_id = $1`,
        [id],
      )
      expect(hidden).toEqual(Array.from({ length: 3 }, () => ({ hidden: seconds, expires: true })))
    }
    const deadlines = await database.query<{ workflow_name: string; minutes: number }>(
      `select distinct workflow_name, (extract(epoch from deadline_at - started_at) / 60)::integer as minutes
       from public.fw_workflow_executions where workflow_name = any ($1)`,
      [[quick, slow, unlimited]],
    )
    expect(Object.fromEntries(deadlines.map(({ workflow_name, minutes }) => [workflow_name, minutes]))).toEqual({ [quick]: 5, [slow]: 90, [unlimited]: 60 })
  })

  test('counts the attempt in the message, with retry_count one below and started_at of the first attempt', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const organizationId = await organization(database)
    const id = one(await enqueue(database, name, organizationId))
    const first = await claimOne(database, x)
    const { started_at } = await execution(database, id)
    await reportFailures(database, x, [{ ...first, delayMs: 3_600_000 }])
    expect(await execution(database, id)).toMatchObject({ status: 'retry_pending', retry_count: 1 })
    await makeVisible(database, [id])
    const second = await claimOne(database, x)
    expect(second).toMatchObject({ execution_id: id, attempt: 2 })
    expect(second.batch_id).not.toBe(first.batch_id)
    expect(await execution(database, id)).toMatchObject({ status: 'running', retry_count: 1, started_at, next_retry_at: null })
    expect(one(await messages(database, organizationId)).message).toMatchObject({ attempt: 2 })
  })

  test('says in the settings that the worker runs, when it ran last and with how many', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const organizationId = await organization(database, { batchSize: 4 })
    await enqueue(database, name, organizationId, 6)
    expect(await settings(organizationId)).toMatchObject({ worker_running: false, worker_last_run_at: null, worker_last_batch_size: null })
    const first = await claim(database, x)
    expect(first).toHaveLength(4)
    const { claimed_at } = one(
      await database.query<{ claimed_at: Date }>('select claimed_at from public.fw_worker_runs where organization_id = $1', [organizationId]),
    )
    expect(await settings(organizationId)).toMatchObject({ worker_running: true, worker_last_run_at: claimed_at, worker_last_batch_size: 4 })
    await report(database, x, first)
    expect(await settings(organizationId)).toMatchObject({ worker_running: false, worker_last_batch_size: 4 })
    expect(await claim(database, x)).toHaveLength(2)
    expect(await settings(organizationId)).toMatchObject({ worker_running: true, worker_last_batch_size: 2 })
  })

  test('is nothing where nothing waits, and that is no run', async () => {
    const x = await executor(database, workflow())
    const organizationId = await organization(database)
    expect(await claim(database, x)).toEqual([])
    expect(await settings(organizationId)).toMatchObject({ worker_running: false, worker_last_run_at: null })
    expect(await database.query('select from public.fw_worker_runs where organization_id = $1', [organizationId])).toEqual([])
  })
})

describe('an executor', () => {
  test('that is unknown is refused with FW002', async () => {
    const unknown = randomUUID()
    await expect(claim(database, unknown)).rejects.toMatchObject({
      code: 'FW002',
      message: `executor ${unknown} is not registered, or has stopped`,
      hint: expect.stringContaining('fw_register_executor') as unknown,
    })
  })

  test('that has stopped is refused with FW002 and changes nothing', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const organizationId = await organization(database)
    const id = one(await enqueue(database, name, organizationId))
    await database.query('select public.fw_stop_executor($1)', [x])
    await expect(claim(database, x)).rejects.toMatchObject({ code: 'FW002' })
    expect(await execution(database, id)).toMatchObject({ status: 'queued' })
  })

  test('wants to be woken while its last claim left room, and not while it is full', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const organizationId = await organization(database, { batchSize: 2 })
    const wants = async () =>
      one(await database.query<{ wants_work: boolean }>('select wants_work from public.fw_executors where id = $1', [x])).wants_work
    await enqueue(database, name, organizationId, 2)
    await claim(database, x, 2)
    expect(await wants()).toBe(false)
    await claim(database, x, 1)
    expect(await wants()).toBe(true)
  })
})

describe('a hint', () => {
  test('finds the new work of an organization that the claims so far know nothing of', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const organizationId = await organization(database)
    await claim(database, x)
    // As if a look at everything had just been taken and had been slow: only what is known or hinted is claimed.
    const rest = () =>
      database.query("update public.fw_executors set rescanned_at = now() + interval '1 hour', rescan_cost = '1 hour' where id = $1", [x])
    const id = one(await enqueue(database, name, organizationId))
    const call = 'select execution_id from public.fw_claim_batches($1, 10, $2::uuid[])'
    await rest()
    expect(await database.query(call, [x, []])).toEqual([])
    await rest()
    expect(await database.query(call, [x, [organizationId]])).toEqual([{ execution_id: id }])
  })

  test('does not put off the look at everything for long: a second after the last one it is taken all the same', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const [hinted, other] = [await organization(database), await organization(database)]
    const claimed = async (hints: string[] | null) => {
      const rows = await database.query<{ organization_id: string }>('select organization_id from public.fw_claim_batches($1, 10, $2::uuid[])', [x, hints])
      return new Set(rows.map((row) => row.organization_id))
    }
    await claim(database, x)
    for (const organizationId of [hinted, other, hinted]) await enqueue(database, name, organizationId)
    await database.query("update public.fw_executors set rescanned_at = now() + interval '1 hour' where id = $1", [x])
    expect(await claimed([hinted])).toEqual(new Set([hinted]))
    await enqueue(database, name, hinted)
    await database.query("update public.fw_executors set rescanned_at = now() - interval '1 second' where id = $1", [x])
    expect(await claimed([hinted])).toEqual(new Set([hinted, other]))
    await enqueue(database, name, other)
    expect(await claimed(null)).toEqual(new Set([other]))
  })

  test('of an organization that is unknown, disabled or named twice does no harm', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const [enabled, disabled] = [await organization(database), await organization(database, { enabled: false })]
    const id = one(await enqueue(database, name, enabled))
    await enqueue(database, name, disabled)
    const claimed = await claim(database, x, 500, [disabled, randomUUID(), enabled, enabled])
    expect(claimed.map((row) => row.execution_id)).toEqual([id])
  })
})

test('work that was handed back is claimed again by the floor, without a look at everything', async () => {
  const name = workflow()
  const x = await executor(database, name)
  const organizationId = await organization(database, { batchSize: 2 })
  await enqueue(database, name, organizationId, 4)
  const first = await claim(database, x, 2)
  await release(database, x, first)
  await database.query("update public.fw_executors set rescanned_at = now() + interval '1 hour', rescan_cost = '1 hour' where id = $1", [x])
  const claimed: string[] = []
  for (let i = 0; i < 2; i++) {
    const batch = await database.query<{ execution_id: string; batch_id: string }>('select * from public.fw_claim_batches($1, 2)', [x])
    claimed.push(...batch.map((row) => row.execution_id))
    await report(database, x, batch)
  }
  expect(new Set(claimed).size).toBe(4)
  expect(claimed.slice(2).sort()).toEqual(first.map((row) => row.execution_id).sort())
})
