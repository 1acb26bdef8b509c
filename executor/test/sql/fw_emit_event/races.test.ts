import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { claim, claimOne, type Claimed, enqueue, execution, executor, one, organization, type Queryable, sqlDatabase, untilBlocked, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

async function scene(count = 1) {
  const name = workflow()
  const organizationId = await organization(database, { batchSize: 50, concurrency: 10 })
  const x = await executor(database, name)
  const ids = await enqueue(database, name, organizationId, count)
  return { organizationId, x, ids, id: ids[0] ?? '' }
}

const suspend = (on: Queryable, x: string, held: readonly Claimed[], key: string | null, milliseconds: number | null = null) =>
  on.query<{ outcome: string; wake_in_ms: string | null }>(
    `select outcome, wake_in_ms from public.fw_suspend($1, $2, $3, array(select generate_series(1, $4::int)), array_fill($5::text, array[$4::int]),
       array_fill(0, array[$4::int]), array_fill($6::bigint, array[$4::int]), array_fill(null::timestamptz, array[$4::int]), array_fill($7::text, array[$4::int]),
       array_fill(null::text, array[$4::int]), array_fill(null::jsonb, array[$4::int]), array_fill(null::text, array[$4::int]), array_fill(null::integer, array[$4::int]))`,
    [x, held.map(({ execution_id: id }) => id), held.map(({ batch_id: id }) => id), held.length, key === null ? 'sleep' : `event ${key}`, milliseconds, key],
  )

const emit = (on: Queryable, organizationId: string, key: string, payload: unknown) =>
  on.query('select public.fw_emit_event($1, $2, $3)', [organizationId, key, JSON.stringify(payload)])

/** Everything that is visible, in as many claims as it takes. */
async function claimAll(x: string): Promise<Claimed[]> {
  const all: Claimed[] = []
  for (let held = await claim(database, x); held.length > 0; held = await claim(database, x)) all.push(...held)
  return all
}

describe('an event and a wait that begins at the same moment', () => {
  test('do not miss each other when the event is first, and a transaction that stays open after its emit holds up no wait', async () => {
    const { organizationId, x } = await scene()
    const held = await claimOne(database, x)
    await withSessions(database, 2, async (emitter, waiter) => {
      await emitter.query('begin')
      await emit(emitter, organizationId, 'k', 1)
      await waiter.query("set lock_timeout = '1ms'")
      expect(await suspend(waiter, x, [held], 'k')).toEqual([{ outcome: 'waiting', wake_in_ms: null }])
      expect(await claim(database, x)).toEqual([])
      await emitter.query('commit')
    })
    expect((await claimOne(database, x)).steps).toMatchObject([{ name: 'event k', output: 1 }])
  })

  test('do not miss each other when the event is just being committed', async () => {
    const { organizationId, x } = await scene()
    const held = await claimOne(database, x)
    await withSessions(database, 2, async (emitter, waiter) => {
      await emitter.query('begin')
      await emit(emitter, organizationId, 'k', 1)
      // As the commit begins.
      await emitter.query('set constraints all immediate')
      const suspended = suspend(waiter, x, [held], 'k')
      await untilBlocked(database, waiter)
      await emitter.query('commit')
      expect(await suspended).toEqual([{ outcome: 'waiting', wake_in_ms: '0' }])
    })
    expect((await claimOne(database, x)).steps).toMatchObject([{ name: 'event k', output: 1 }])
  })

  test('do not miss each other when the wait is first', async () => {
    const { organizationId, x } = await scene()
    const held = await claimOne(database, x)
    await withSessions(database, 2, async (emitter, waiter) => {
      await waiter.query('begin')
      await suspend(waiter, x, [held], 'k')
      const emitted = emit(emitter, organizationId, 'k', 2)
      await untilBlocked(database, emitter)
      await waiter.query('commit')
      await emitted
    })
    expect((await claimOne(database, x)).steps).toMatchObject([{ name: 'event k', output: 2 }])
  })

  test('of an event that is rolled back nothing is left', async () => {
    const { organizationId, x, id } = await scene()
    await suspend(database, x, [await claimOne(database, x)], 'k')
    await withSessions(database, 1, async (emitter) => {
      await emitter.query('begin')
      await emit(emitter, organizationId, 'k', 1)
      await emitter.query('rollback')
    })
    expect(await claim(database, x)).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'waiting' })
    expect(await database.query('select 1 from public.fw_events where organization_id = $1', [organizationId])).toEqual([])
  })
})

describe('an event and a wait whose time is up', () => {
  test('the claim that comes first ends the wait, and the event is kept for a later one', async () => {
    const { organizationId, x } = await scene()
    await suspend(database, x, [await claimOne(database, x)], 'k', 0)
    await withSessions(database, 2, async (claimer, emitter) => {
      await claimer.query('begin')
      const held = one(await claim(claimer, x))
      expect(held.steps).toMatchObject([{ name: 'event k', output: null, timed_out: true }])
      const emitted = emit(emitter, organizationId, 'k', 'late')
      await claimer.query('commit')
      await emitted
      expect(await suspend(database, x, [held], null, 3_600_000)).toMatchObject([{ outcome: 'waiting' }])
    })
    expect(await database.query("select status, event_id from public.fw_execution_steps where organization_id = $1 and node_id = 'event k'", [organizationId])).toEqual([
      { status: 'skipped', event_id: null },
    ])
    expect(await database.query('select payload from public.fw_events where organization_id = $1', [organizationId])).toEqual([{ payload: 'late' }])
  })

  test('an event that comes after the time and before the claim is not taken either', async () => {
    const { organizationId, x } = await scene()
    await suspend(database, x, [await claimOne(database, x)], 'k', 1)
    await database.query('select pg_sleep(0.02)')
    await emit(database, organizationId, 'k', 'late')
    expect((await claimOne(database, x)).steps).toMatchObject([{ timed_out: true }])
  })
})

test('one event wakes hundreds of waiters, each once, and nobody of another organization or key', async () => {
  const { organizationId, x } = await scene(400)
  const other = await scene()
  await suspend(database, x, await claimAll(x), 'k')
  await suspend(database, other.x, [await claimOne(database, other.x)], 'k')
  await emit(database, organizationId, 'l', 1)
  expect(await claim(database, x)).toEqual([])
  await emit(database, organizationId, 'k', 1)
  const woken = await claimAll(x)
  expect(woken).toHaveLength(400)
  expect(new Set(woken.map(({ execution_id: id }) => id)).size).toBe(400)
  expect(await claim(database, other.x)).toEqual([])
  await suspend(database, x, woken, null, 3_600_000)
})

test('a suspended execution that was fenced is not written', async () => {
  const { organizationId, x, id } = await scene()
  const held = await claimOne(database, x)
  await database.query('update public.fw_module_settings set worker_running = false where organization_id = $1', [organizationId])
  expect(await suspend(database, x, [held], 'k')).toEqual([{ outcome: 'fenced', wake_in_ms: null }])
  expect(await execution(database, id)).toMatchObject({ status: 'running' })
  expect(await database.query('select 1 from public.fw_execution_steps where execution_id = $1', [id])).toEqual([])
  await database.query("update public.fw_worker_runs set lease_expires_at = now() - interval '1 second' where id = $1", [held.batch_id])
  await database.query('select public.fw_reap_expired_batches()')
})
