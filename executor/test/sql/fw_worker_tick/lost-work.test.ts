import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { claim, claimOne, enqueue, execution, executor, expireLeases, messages, one, organization, report, sqlDatabase, workflow, withSessions } from '../../support/sql.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

interface TickRow {
  organization_id: string
  messages_processed: string
  succeeded: string
  failed: string
  dlq_routed: string
  errors: string[]
}

const NOTHING = { messages_processed: '0', succeeded: '0', failed: '0', dlq_routed: '0', errors: [] }

/** Ticks; what it says of one organization. */
async function tick(organizationId: string): Promise<Omit<TickRow, 'organization_id'>> {
  const rows = await database.query<TickRow & Record<string, unknown>>(
    'select organization_id, messages_processed, succeeded, failed, dlq_routed, errors from public.fw_worker_tick()',
  )
  const { organization_id, ...row } = rows.find((each) => each.organization_id === organizationId) ?? { organization_id: organizationId, ...NOTHING }
  expect(organization_id).toBe(organizationId)
  return row
}

/** What the next tick counts that the one before could not, since it ended the batches itself. */
const sum = (...rows: Omit<TickRow, 'organization_id'>[]) => ({
  failed: rows.reduce((total, row) => total + Number(row.failed), 0),
  dlq_routed: rows.reduce((total, row) => total + Number(row.dlq_routed), 0),
})

const isRunning = async (organizationId: string) =>
  one(await database.query<{ worker_running: boolean }>('select worker_running from public.fw_module_settings where organization_id = $1', [organizationId]))
    .worker_running

const run = async (batchId: string) => one(await database.query('select * from public.fw_worker_runs where id = $1', [batchId]))

async function scene(count = 1, settings = {}, policy = {}) {
  const name = workflow()
  const organizationId = await organization(database, settings)
  const x = await executor(database, name, policy)
  const ids = await enqueue(database, name, organizationId, count)
  return { name, organizationId, x, ids, id: ids[0] ?? '' }
}

const stop = (x: string) => database.query('select public.fw_stop_executor($1)', [x])

/** Lets offers have been made 11 seconds ago. */
const elevenSecondsPass = (organizationId: string) =>
  database.query("update public.fw_worker_runs set claimed_at = claimed_at - interval '11 seconds' where organization_id = $1 and taken_at is null", [organizationId])

describe('a lease that ran out', () => {
  test('is reaped by the tick, without a claim: a failed attempt, due again at once, and the semaphore free', async () => {
    const { organizationId, x, id } = await scene()
    const held = await claimOne(database, x)
    await stop(x)
    expect(await isRunning(organizationId)).toBe(true)
    await expireLeases(database, [held])
    expect((await tick(organizationId)).errors).toEqual(['1 execution lost its lease'])
    expect(await execution(database, id)).toMatchObject({
      status: 'retry_pending',
      retry_count: 1,
      error_category: 'TIMEOUT',
      last_error: 'the lease ran out before the executor reported',
      next_retry_at: expect.any(Date) as unknown,
    })
    expect(one(await messages(database, organizationId)).message).toMatchObject({ attempt: 2 })
    expect(await run(held.batch_id)).toMatchObject({ open: 0, lost: 1, finished_at: expect.any(Date) as unknown })
    expect(await isRunning(organizationId)).toBe(false)
  })

  test('is reaped for an organization that was disabled meanwhile, which no claim visits', async () => {
    const { organizationId, x, id } = await scene()
    await expireLeases(database, [await claimOne(database, x)])
    await database.query('select public.fw_save_worker_settings($1, false)', [organizationId])
    expect(await claim(database, x)).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'running' })
    expect((await tick(organizationId)).errors).toEqual(['1 execution lost its lease'])
    expect(await execution(database, id)).toMatchObject({ status: 'retry_pending', retry_count: 1 })
    expect(await isRunning(organizationId)).toBe(false)
    // Nothing new starts for it.
    expect(await claim(database, x)).toEqual([])
  })

  test('after the last attempt is dead-lettered, and counted once', async () => {
    const { organizationId, x, id } = await scene(1, {}, { max_attempts: 1 })
    await expireLeases(database, [await claimOne(database, x)])
    await stop(x)
    const first = await tick(organizationId)
    expect(first.errors).toEqual(['1 execution lost its lease'])
    expect(await execution(database, id)).toMatchObject({ status: 'failed', retry_count: 0, error_category: 'TIMEOUT' })
    expect(one(await database.query('select * from public.fw_dlq where execution_id = $1', [id]))).toMatchObject({ error_category: 'TIMEOUT', attempt: '1' })
    expect(await messages(database, organizationId)).toEqual([])
    expect(await isRunning(organizationId)).toBe(false)
    const next = await tick(organizationId)
    expect(next).toEqual({ messages_processed: '1', succeeded: '0', failed: '0', dlq_routed: '1', errors: [] })
    expect(sum(first, next, await tick(organizationId))).toEqual({ failed: 0, dlq_routed: 1 })
  })

  test('that was not the last attempt is counted as failed by the tick after', async () => {
    const { organizationId, x } = await scene(2)
    await expireLeases(database, await claim(database, x))
    await stop(x)
    expect((await tick(organizationId)).errors).toEqual(['2 executions lost their lease'])
    expect(await tick(organizationId)).toEqual({ messages_processed: '2', succeeded: '0', failed: '2', dlq_routed: '0', errors: [] })
    expect(await tick(organizationId)).toEqual(NOTHING)
  })

  test('is counted by the tick after also when a later transaction ends before the one that reaps it', async () => {
    const { organizationId, x } = await scene(2)
    await expireLeases(database, await claim(database, x))
    await stop(x)
    await withSessions(database, 1, async (early) => {
      await early.query('begin')
      await early.query('select pg_current_xact_id()')
      await database.query('select pg_current_xact_id()')
      expect(await early.query('select messages_processed, errors from public.fw_worker_tick() where organization_id = $1', [organizationId])).toEqual([
        { messages_processed: '0', errors: ['2 executions lost their lease'] },
      ])
      await early.query('commit')
    })
    expect(await tick(organizationId)).toEqual({ messages_processed: '2', succeeded: '0', failed: '2', dlq_routed: '0', errors: [] })
  })

  test('is left alone while it lives', async () => {
    const { organizationId, x, id } = await scene()
    const held = await claimOne(database, x)
    expect(await tick(organizationId)).toEqual(NOTHING)
    expect(await execution(database, id)).toMatchObject({ status: 'running', batch_id: held.batch_id })
    expect(await report(database, x, [held])).toEqual([])
  })
})

describe('an offered batch that no one took', () => {
  test('within 10 seconds goes back at no attempt, and its place is free', async () => {
    const { organizationId, x, ids } = await scene(3)
    expect(await database.query('select public.fw_offer_batches()')).toHaveLength(1)
    expect(await isRunning(organizationId)).toBe(true)
    await stop(x)
    await elevenSecondsPass(organizationId)
    expect((await tick(organizationId)).errors).toEqual(['3 executions were offered and not taken'])
    for (const id of ids) expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0, last_error: null, next_retry_at: null })
    const waiting = await messages(database, organizationId)
    expect(waiting.map(({ message }) => message)).toEqual(ids.map((id) => expect.objectContaining({ execution_id: id, attempt: 1 }) as unknown))
    expect(await isRunning(organizationId)).toBe(false)
    const y = await executor(database, (await execution(database, ids[0] ?? '')).workflow_name)
    const held = await claim(database, y)
    expect(held.map((row) => [row.execution_id, row.attempt]).sort()).toEqual(ids.map((id) => [id, 1]).sort())
    expect(await report(database, y, held)).toEqual([])
  })

  test('keeps the attempt of a retry: it is due again as the attempt that it was', async () => {
    const { organizationId, x, id } = await scene()
    await expireLeases(database, [await claimOne(database, x)])
    await tick(organizationId)
    expect(await execution(database, id)).toMatchObject({ status: 'running', retry_count: 1 })
    await stop(x)
    await elevenSecondsPass(organizationId)
    expect((await tick(organizationId)).errors).toEqual(['1 execution was offered and not taken'])
    expect(await execution(database, id)).toMatchObject({ status: 'retry_pending', retry_count: 1, next_retry_at: expect.any(Date) as unknown })
    expect(one(await messages(database, organizationId)).message).toMatchObject({ attempt: 2 })
  })

  test('is left until then', async () => {
    const { organizationId, x, id } = await scene()
    await database.query('select public.fw_offer_batches()')
    await stop(x)
    await database.query("update public.fw_worker_runs set claimed_at = claimed_at - interval '8 seconds' where organization_id = $1", [organizationId])
    expect(await tick(organizationId)).toEqual(NOTHING)
    expect(await execution(database, id)).toMatchObject({ status: 'running' })
  })

  test('but taken is no longer an offer: it has its whole lease', async () => {
    const { organizationId, x, id } = await scene()
    const [offered] = await database.query<{ id: string }>('select public.fw_offer_batches() as id')
    const held = await database.query<{ execution_id: string; batch_id: string }>('select * from public.fw_take_batch($1, $2)', [x, offered?.id])
    await database.query("update public.fw_worker_runs set claimed_at = claimed_at - interval '11 seconds' where organization_id = $1", [organizationId])
    expect(await tick(organizationId)).toEqual(NOTHING)
    expect(await execution(database, id)).toMatchObject({ status: 'running' })
    expect(await report(database, x, held)).toEqual([])
  })
})

test('a crashed worker never needs a reset of the semaphore: after its lease, the tick has freed it', async () => {
  const { organizationId, x, ids } = await scene(4, { batchSize: 2 })
  const crashed = await claim(database, x)
  expect(crashed).toHaveLength(2)
  const y = await executor(database, crashed[0]?.workflow_name ?? '')
  expect(await claim(database, y)).toEqual([])
  await expireLeases(database, crashed)
  await stop(x)
  await stop(y)
  await tick(organizationId)
  expect(await isRunning(organizationId)).toBe(false)
  const z = await executor(database, crashed[0]?.workflow_name ?? '')
  const done: string[] = []
  while (done.length < ids.length) {
    const held = await claim(database, z)
    expect(held).not.toEqual([])
    expect(await report(database, z, held)).toEqual([])
    done.push(...held.map((row) => row.execution_id))
  }
  expect(done.sort()).toEqual(ids.toSorted())
})
