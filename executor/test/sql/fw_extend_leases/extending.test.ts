import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { claim, claimOne, contents, enqueue, execution, executor, expireLeases, extend, one, organization, report, reportFailures, sqlDatabase, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function scene(settings = {}, count = 1) {
  const name = workflow()
  const organizationId = await organization(database, settings)
  const [x, y] = [await executor(database, name), await executor(database, name)]
  const ids = await enqueue(database, name, organizationId, count)
  return { name, organizationId, x, y, ids, id: ids[0] ?? '' }
}

/** Moves the end of a lease, and of the invisibility of its messages, to so many seconds from now. */
async function shorten(batchId: string, seconds: number) {
  await database.query(
    `with run as (update public.fw_worker_runs set lease_expires_at = now() + make_interval(secs => $2) where id = $1 returning lease_expires_at)
     update pgmq.q_workflow_execution_queue q set vt = run.lease_expires_at
     from run, public.fw_workflow_executions e where e.batch_id = $1 and q.msg_id = e.msg_id`,
    [batchId, seconds],
  )
}

const ends = async (batchId: string) =>
  database.query<{ lease: number; message: number }>(
    `select extract(epoch from r.lease_expires_at - now())::float8 as lease, extract(epoch from q.vt - now())::float8 as message
     from public.fw_worker_runs r join public.fw_workflow_executions e on e.batch_id = r.id
     left join pgmq.q_workflow_execution_queue q on q.msg_id = e.msg_id where r.id = $1`,
    [batchId],
  )

describe('extending a lease', () => {
  test('moves its end, and that of the messages, to a visibility timeout from now', async () => {
    const { x } = await scene({ visibilityTimeout: 600 }, 3)
    const held = await claim(database, x)
    const batchId = held[0]?.batch_id ?? ''
    await shorten(batchId, 5)
    expect(await extend(database, x, held)).toEqual([])
    const rows = await ends(batchId)
    expect(rows).toHaveLength(3)
    for (const { lease, message } of rows) {
      expect(lease).toBeGreaterThan(500)
      expect(lease).toBeLessThanOrEqual(600)
      expect(message).toBe(lease)
    }
  })

  test('keeps the work from everybody else past the first end of the lease', async () => {
    const { x, y } = await scene()
    const held = await claimOne(database, x)
    await withSessions(database, 1, async (session) => {
      // The extension comes in time, by the clock of its transaction; for everybody later that end has passed.
      await session.query('begin')
      await session.query('select now()')
      await shorten(held.batch_id, 0)
      expect(await extend(session, x, [held])).toEqual([])
      await session.query('commit')
    })
    expect(await claim(database, y)).toEqual([])
    expect(await report(database, x, [held])).toEqual([])
  })

  test('keeps the timeout of the claim when the setting has changed since', async () => {
    const { organizationId, x } = await scene({ visibilityTimeout: 30 })
    const held = await claimOne(database, x)
    await database.query('select public.fw_save_worker_settings($1, true, p_visibility_timeout_seconds => 600)', [organizationId])
    await extend(database, x, [held])
    expect(one(await ends(held.batch_id)).lease).toBeLessThanOrEqual(30)
  })

  test('leaves what is finished in the batch alone', async () => {
    const { x, ids } = await scene({}, 2)
    const held = await claim(database, x)
    const [failed] = held
    if (failed === undefined) throw new Error('two executions were expected')
    await reportFailures(database, x, [{ ...failed, delayMs: 3_600_000 }])
    const before = await execution(database, failed.execution_id)
    expect(await extend(database, x, held)).toEqual([])
    expect(await execution(database, failed.execution_id)).toEqual(before)
    const later = await database.query("select from pgmq.q_workflow_execution_queue where msg_id = $1 and vt > now() + interval '50 minutes'", [before.msg_id])
    expect(later).toHaveLength(1)
    expect(ids).toHaveLength(2)
  })

  test('says of which batches the lease is lost, and extends the others', async () => {
    const { x, y } = await scene({ batchSize: 1, concurrency: 3 }, 3)
    const held = await claim(database, x)
    const [lost, kept, foreign] = held
    if (lost === undefined || kept === undefined || foreign === undefined) throw new Error('three batches were expected')
    await expireLeases(database, [lost])
    await database.query('update public.fw_worker_runs set executor_id = $2 where id = $1', [foreign.batch_id, y])
    await shorten(kept.batch_id, 5)
    const unknown = { execution_id: randomUUID(), batch_id: randomUUID() }
    const refused = await extend(database, x, [...held, unknown])
    expect(refused.sort()).toEqual([lost.batch_id, foreign.batch_id, unknown.batch_id].sort())
    expect(one(await ends(kept.batch_id)).lease).toBeGreaterThan(20)
    expect(one(await ends(lost.batch_id)).lease).toBeLessThan(0)
  })

  test('does not bring a lease back to life that has run out', async () => {
    const { x, y, id } = await scene()
    const held = await claimOne(database, x)
    await expireLeases(database, [held])
    const before = await contents(database)
    expect(await extend(database, x, [held])).toEqual([held.batch_id])
    expect(await contents(database)).toEqual(before)
    expect(await claimOne(database, y)).toMatchObject({ execution_id: id, attempt: 2 })
  })

  test('of a batch that is finished is refused', async () => {
    const { x } = await scene({ visibilityTimeout: 600 })
    const held = await claimOne(database, x)
    await report(database, x, [held])
    const before = await contents(database)
    expect(await extend(database, x, [held])).toEqual([held.batch_id])
    expect(await contents(database)).toEqual(before)
  })

  test('notes the step that each is in, once for each, and clears it when it is in none', async () => {
    const { x, ids } = await scene({ batchSize: 5 }, 3)
    const held = (await claim(database, x)).toSorted((a, b) => ids.indexOf(a.execution_id) - ids.indexOf(b.execution_id))
    await database.query("update public.fw_worker_runs set claimed_at = now() - interval '1 hour' where id = $1", [held[0]?.batch_id])
    const say = (steps: (string | null)[], ms: (number | null)[]) =>
      database.query('select id from public.fw_extend_leases($1, $2::uuid[], $3::uuid[], $4::text[], $5::bigint[]) as id', [x, ids, [held[0]?.batch_id], steps, ms])
    const current = () =>
      database.query<{ step: string | null; seconds: number | null; version: string }>(
        `select c.step, extract(epoch from now() - c.since)::float8 as seconds, e.xmin::text as version
         from public.fw_workflow_executions e cross join lateral public.fw_current_step(e) c where e.id = any ($1::uuid[]) order by array_position($1::uuid[], e.id)`, [ids])
    await say(['fetch', 'load', null], [60_000, 7_200_000, null])
    const first = await current()
    expect(first.map(({ step }) => step)).toEqual(['fetch', 'load', null])
    expect(first[0]?.seconds).toBeGreaterThanOrEqual(60)
    // Not before the claim of its batch.
    expect(first[1]?.seconds).toBeLessThan(3700)
    await say(['fetch', 'store', null], [70_000, 5, null])
    const second = await current()
    expect(second.map(({ step }) => step)).toEqual(['fetch', 'store', null])
    expect(second[0]?.version).toBe(first[0]?.version)
    expect(second[2]?.version).toBe(first[2]?.version)
    await say([null, null, null], [null, null, null])
    expect((await current()).map(({ step }) => step)).toEqual([null, null, null])
  })

  test('does not show the step of an earlier batch, be it the same or another', async () => {
    const { x, y, id } = await scene()
    const held = await claimOne(database, x)
    await database.query('select public.fw_extend_leases($1, $2::uuid[], $3::uuid[], $4::text[], $5::bigint[])', [x, [id], [held.batch_id], ['fetch'], [5]])
    const step = async () => one(await database.query<{ step: string | null; since: Date | null }>('select c.* from public.fw_workflow_executions e cross join lateral public.fw_current_step(e) c where e.id = $1', [id]))
    const first = await step()
    expect(first.step).toBe('fetch')
    await expireLeases(database, [held])
    const again = await claimOne(database, y)
    expect(await step()).toEqual({ step: null, since: null })
    await database.query('select public.fw_extend_leases($1, $2::uuid[], $3::uuid[], $4::text[], $5::bigint[])', [y, [id], [again.batch_id], ['fetch'], [0]])
    const second = await step()
    expect(second.step).toBe('fetch')
    expect(second.since?.getTime()).toBeGreaterThanOrEqual(first.since?.getTime() ?? Infinity)
    await report(database, y, [again])
    expect(await step()).toEqual({ step: null, since: null })
  })

  test('of a lost lease notes no step', async () => {
    const { x, y, id } = await scene()
    const held = await claimOne(database, x)
    await expireLeases(database, [held])
    const again = await claimOne(database, y)
    await database.query('select public.fw_extend_leases($1, $2::uuid[], $3::uuid[], $4::text[], $5::bigint[])', [x, [id], [held.batch_id], ['late'], [5]])
    expect(one(await database.query('select current_step from public.fw_workflow_executions where id = $1', [id]))).toEqual({ current_step: null })
    expect(await report(database, y, [again])).toEqual([])
  })

  test('says that the executor lives, also when it has nothing to extend', async () => {
    const { x } = await scene()
    await database.query("update public.fw_executors set last_seen_at = now() - interval '1 hour' where id = $1", [x])
    await extend(database, x, [])
    const seen = await database.query("select from public.fw_executors where id = $1 and last_seen_at > now() - interval '1 minute'", [x])
    expect(seen).toHaveLength(1)
  })
})
