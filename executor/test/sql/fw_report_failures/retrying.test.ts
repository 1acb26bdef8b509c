import { describe, expect, test } from 'vitest'
import { claim, claimOne, enqueue, execution, executor, makeVisible, messages, one, organization, type Policy, reportFailures, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function scene(policy: Policy = {}, count = 1) {
  const name = workflow()
  const organizationId = await organization(database, { batchSize: 50 })
  const x = await executor(database, name, policy)
  const ids = await enqueue(database, name, organizationId, count)
  return { name, organizationId, x, ids, id: ids[0] ?? '' }
}

/** Seconds from the failure to the next attempt, of each execution, by the queue message. */
async function waits(organizationId: string): Promise<number[]> {
  const rows = await database.query<{ seconds: number }>(
    `select extract(epoch from q.vt - now())::float8 + 0 as seconds, e.next_retry_at = q.vt as same
     from public.fw_workflow_executions e join pgmq.q_workflow_execution_queue q on q.msg_id = e.msg_id
     where e.organization_id = $1 and e.next_retry_at = q.vt`,
    [organizationId],
  )
  return rows.map((row) => row.seconds)
}

describe('a failed attempt', () => {
  test('is retried later, with error, category and time on the execution and the next attempt in the message', async () => {
    const { organizationId, x, id } = await scene()
    const held = await claimOne(database, x)
    expect(await reportFailures(database, x, [{ ...held, error: 'no network', category: 'EXTERNAL_SERVICE' }])).toEqual({ [id]: 'retry_pending' })
    const row = await execution(database, id)
    expect(row).toMatchObject({
      status: 'retry_pending',
      retry_count: 1,
      last_error: 'no network',
      error_category: 'EXTERNAL_SERVICE',
      completed_at: null,
      dlq_msg_id: null,
    })
    const message = one(await messages(database, organizationId))
    expect(message).toMatchObject({ msg_id: row.msg_id, vt: row.next_retry_at, message: { execution_id: id, attempt: 2 } })
    expect(one(await database.query('select * from public.fw_worker_runs where id = $1', [held.batch_id]))).toMatchObject({
      open: 0,
      failed: 1,
      dead_lettered: 0,
      finished_at: expect.any(Date) as unknown,
    })
    expect(one(await database.query('select worker_running from public.fw_module_settings where organization_id = $1', [organizationId]))).toEqual({
      worker_running: false,
    })
  })

  test('is retried after the given delay instead of the backoff', async () => {
    const { organizationId, x, ids } = await scene({ backoff_initial_ms: 1, backoff_max_ms: 1 }, 3)
    const held = await claim(database, x)
    const delays = [0, 90_000, 86_400_000]
    await reportFailures(database, x, ids.map((id, at) => ({ ...one(held.filter((row) => row.execution_id === id)), delayMs: delays[at] ?? 0 })))
    const rows = await Promise.all(ids.map((id) => execution(database, id)))
    const [none, some, long] = rows.map((row) => row.next_retry_at?.getTime() ?? Number.NaN)
    // All in one transaction, so the differences are exact.
    expect((some ?? 0) - (none ?? 0)).toBe(90_000)
    expect((long ?? 0) - (none ?? 0)).toBe(86_400_000)
    expect(await claimOne(database, x)).toMatchObject({ execution_id: ids[0], attempt: 2 })
    expect(await waits(organizationId)).toHaveLength(2)
  })

  test('waits a random time from zero to the exponential of the policy', async () => {
    const { organizationId, x } = await scene({ max_attempts: 9, backoff_initial_ms: 100_000, backoff_factor: 3, backoff_max_ms: 500_000 }, 50)
    // Caps: 100 s, 300 s, then 500 s (900 s by the exponential).
    for (const [attempt, cap] of [[1, 100], [2, 300], [3, 500], [4, 500]] as const) {
      const held = await claim(database, x)
      expect(held.map((row) => row.attempt)).toEqual(Array.from({ length: 50 }, () => attempt))
      const before = one(await database.query<{ at: Date }>('select clock_timestamp() as at')).at.getTime()
      await reportFailures(database, x, held)
      const after = one(await database.query<{ at: Date }>('select clock_timestamp() as at')).at.getTime()
      const due = await database.query<{ next_retry_at: Date }>('select next_retry_at from public.fw_workflow_executions where organization_id = $1', [organizationId])
      const times = due.map((row) => row.next_retry_at.getTime())
      expect(Math.min(...times)).toBeGreaterThanOrEqual(before)
      expect(Math.max(...times)).toBeLessThanOrEqual(after + cap * 1000)
      // Of fifty, one lands in the upper half and one in the lower but for a chance of 2^-49.
      expect(Math.max(...times)).toBeGreaterThan(before + cap * 500)
      expect(Math.min(...times)).toBeLessThan(after + cap * 500)
      await makeVisible(database, held.map((row) => row.execution_id))
    }
  })

  test('of a workflow that was never registered waits by the default policy', async () => {
    const rows = await database.query<{ seconds: number }>(
      "select extract(epoch from public.fw_backoff('nobody knows it', attempt))::float8 as seconds from generate_series(1, 100) as attempt",
    )
    for (const [at, { seconds }] of rows.entries()) {
      expect(seconds).toBeGreaterThanOrEqual(0)
      expect(seconds).toBeLessThanOrEqual(Math.min(300, 2 ** at))
    }
    expect(Math.max(...rows.map((row) => row.seconds))).toBeGreaterThan(150)
  })

  test('stays invisible until its time, and keeps the steps that completed', async () => {
    const { x, id } = await scene()
    const held = await claimOne(database, x)
    await database.query(
      `select public.fw_report($1, array[$2::uuid], array[$3::uuid], array[false], array[null::jsonb],
        array[1, 1], array['a', 'b'], array[0, 1], array['1', 'null']::jsonb[], array[5, 5])`,
      [x, id, held.batch_id],
    )
    await reportFailures(database, x, [{ ...held, delayMs: 3_600_000 }])
    expect(await claim(database, x)).toEqual([])
    await makeVisible(database, [id])
    expect(await claimOne(database, x)).toMatchObject({
      execution_id: id,
      attempt: 2,
      steps: [{ name: 'a', output: 1 }, { name: 'b', output: null }],
    })
  })
})
