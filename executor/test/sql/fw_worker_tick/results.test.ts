import { randomInt } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { type Claimed, claim, enqueue, executor, expireLeases, one, organization, type Queryable, report, reportFailures, sqlDatabase, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))
// What earlier tests have left is counted here.
beforeEach(() => database.query('select public.fw_worker_tick()'))

interface TickRow extends Record<string, unknown> {
  organization_id: string
  messages_processed: string
  succeeded: string
  failed: string
  dlq_routed: string
  errors: string[]
  correlation_id: string
}

const tick = (on: Queryable = database) => on.query<TickRow>('select * from public.fw_worker_tick()')

const counts = (rows: readonly TickRow[], organizationId: string) =>
  rows
    .filter((row) => row.organization_id === organizationId)
    .map(({ messages_processed, succeeded, failed, dlq_routed }) => [messages_processed, succeeded, failed, dlq_routed].map(Number))

async function scene(count: number, settings = {}) {
  const name = workflow()
  const organizationId = await organization(database, { batchSize: 10, ...settings })
  const x = await executor(database, name)
  await enqueue(database, name, organizationId, count)
  return { name, organizationId, x, held: await claim(database, x) }
}

describe('the results of a tick', () => {
  test('say by organization what the batches did that were closed since the last one', async () => {
    const mixed = await scene(6)
    const [a, b, c, d, e, f] = mixed.held
    if (!a || !b || !c || !d || !e || !f) throw new Error('six were claimed')
    await report(database, mixed.x, [a, b, c])
    await reportFailures(database, mixed.x, [d, { ...e, permanent: true }])
    // It is still open.
    expect(counts(await tick(), mixed.organizationId)).toEqual([])
    await report(database, mixed.x, [f])
    const other = await scene(2)
    await report(database, other.x, other.held)
    const rows = await tick()
    expect(counts(rows, mixed.organizationId)).toEqual([[6, 4, 1, 1]])
    expect(counts(rows, other.organizationId)).toEqual([[2, 2, 0, 0]])
    expect(rows).toHaveLength(2)
    expect(await tick()).toEqual([])
  })

  test('are kept with the tick: one correlation id in every row, another for each tick', async () => {
    const [one_, two] = [await scene(1), await scene(1)]
    await report(database, one_.x, one_.held)
    await report(database, two.x, two.held)
    const rows = await tick()
    expect(rows).toHaveLength(2)
    const [id, ...more] = new Set(rows.map((row) => row.correlation_id))
    expect(more).toEqual([])
    const kept = await database.query<TickRow>(
      `select r.organization_id, r.messages_processed, r.succeeded, r.failed, r.dlq_routed, r.errors, t.correlation_id
       from public.fw_worker_ticks t join public.fw_worker_tick_results r on r.tick_id = t.id where t.correlation_id = $1`,
      [id],
    )
    const sorted = (all: readonly TickRow[]) => all.toSorted((p, q) => (p.organization_id < q.organization_id ? -1 : 1))
    expect(sorted(kept)).toEqual(sorted(rows))
    const ticked = one(await database.query('select * from public.fw_worker_ticks where correlation_id = $1', [id]))
    expect(ticked).toMatchObject({ driver: 'session', batches_offered: 0, started_at: expect.any(Date) as unknown })
    const third = await scene(1)
    await report(database, third.x, third.held)
    expect(one(await tick()).correlation_id).not.toBe(id)
  })

  test('say who ran it', async () => {
    await withSessions(database, 1, async (session) => {
      await session.query("select set_config('fw.job_driver', 'executor host:1', false)")
      await tick(session)
    })
    expect(one(await database.query('select driver from public.fw_worker_ticks order by id desc limit 1'))).toEqual({ driver: 'executor host:1' })
    expect(one(await database.query("select last_driver from public.fw_jobs where name = 'process-workflow-queue'"))).toEqual({ last_driver: 'executor host:1' })
  })
})

describe('each closed batch is counted in exactly one tick', () => {
  test('also when its transaction commits after a tick that began later', async () => {
    const { organizationId, x, held } = await scene(3)
    const later = await scene(1)
    await withSessions(database, 1, async (reporter) => {
      await reporter.query('begin')
      expect(await report(reporter, x, held)).toEqual([])
      // A later transaction number has been given and committed before the tick looks.
      await report(database, later.x, later.held)
      const rows = await tick()
      expect(counts(rows, organizationId)).toEqual([])
      expect(counts(rows, later.organizationId)).toEqual([[1, 1, 0, 0]])
      expect(await tick()).toEqual([])
      await reporter.query('commit')
    })
    expect(counts(await tick(), organizationId)).toEqual([[3, 3, 0, 0]])
    expect(await tick()).toEqual([])
  })

  test('also when it is closed while a tick has looked and not yet committed', async () => {
    const { organizationId, x, held } = await scene(3)
    await withSessions(database, 1, async (ticker) => {
      await ticker.query('begin')
      expect(counts(await tick(ticker), organizationId)).toEqual([])
      expect(await report(database, x, held)).toEqual([])
      await ticker.query('commit')
    })
    expect(counts(await tick(), organizationId)).toEqual([[3, 3, 0, 0]])
    expect(await tick()).toEqual([])
  })

  test('also when the tick that would have counted it is rolled back', async () => {
    const { organizationId, x, held } = await scene(2)
    await report(database, x, held)
    await withSessions(database, 1, async (ticker) => {
      await ticker.query('begin')
      expect(counts(await tick(ticker), organizationId)).toEqual([[2, 2, 0, 0]])
      await ticker.query('rollback')
    })
    expect(counts(await tick(), organizationId)).toEqual([[2, 2, 0, 0]])
  })

  test('also when the tick itself ends it after later transactions have committed', async () => {
    const { organizationId, x, held } = await scene(2)
    await expireLeases(database, held)
    await database.query('select public.fw_stop_executor($1)', [x])
    const other = await scene(1)
    const total: number[][] = []
    await withSessions(database, 1, async (ticker) => {
      await ticker.query('begin')
      await ticker.query('select pg_current_xact_id()')
      await report(database, other.x, other.held)
      total.push(...counts(await tick(ticker), organizationId))
      await ticker.query('commit')
    })
    total.push(...counts(await tick(), organizationId), ...counts(await tick(), organizationId))
    expect(total.map(([, , failed]) => failed).reduce((a, b) => (a ?? 0) + (b ?? 0), 0)).toBe(2)
  })

  test('with reports and ticks in several sessions at once: the sums of all ticks are the sums of all batches', async () => {
    const name = workflow()
    const organizations = [await organization(database, { batchSize: 3, concurrency: 10 }), await organization(database, { batchSize: 2, concurrency: 10 })]
    for (const id of organizations) await enqueue(database, name, id, 400)
    let closed = 0
    const goesOn = () => closed < 150
    const worker = async (session: Queryable) => {
      const x = await executor(session, name, { backoff_initial_ms: 0 })
      while (goesOn()) {
        const held = await claim(session, x, 7)
        const offered = await session.query<{ id: string }>('select id from public.fw_worker_runs where taken_at is null and finished_at is null')
        for (const { id } of offered) held.push(...(await session.query<Claimed & Record<string, unknown>>('select * from public.fw_take_batch($1, $2)', [x, id])))
        const [done, failed] = [held.filter((_, at) => at % 3 > 0), held.filter((_, at) => at % 3 === 0)]
        await reportFailures(session, x, failed.map((row) => ({ ...row, delayMs: 0 })))
        // One report a transaction, as executors send them: two would take locks of two organizations in any order.
        await session.query('begin')
        await report(session, x, done)
        if (randomInt(4) === 0) await new Promise((resolve) => setTimeout(resolve, randomInt(60)))
        await session.query('commit')
        closed += new Set(held.map((row) => row.batch_id)).size
      }
    }
    const ticker = async (session: Queryable) => {
      while (goesOn()) {
        await tick(session)
        await new Promise((resolve) => setTimeout(resolve, randomInt(20)))
      }
    }
    await withSessions(database, 5, async (...sessions) => {
      const outcomes = await Promise.allSettled(sessions.map((session, at) => (at < 3 ? worker(session) : ticker(session))))
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    })
    await tick()
    for (const id of organizations) {
      const batches = one(
        await database.query(
          'select count(*) > 10 as many, sum(succeeded) as succeeded, sum(failed + lost) as failed, sum(dead_lettered) as dead from public.fw_worker_runs where organization_id = $1 and finished_at is not null',
          [id],
        ),
      )
      const ticks = one(
        await database.query(
          'select count(*) > 3 as many, sum(succeeded) as succeeded, sum(failed) as failed, sum(dlq_routed) as dead from public.fw_worker_tick_results where organization_id = $1',
          [id],
        ),
      )
      expect(batches).toMatchObject({ many: true })
      expect(ticks).toEqual(batches)
    }
  })
})

describe('out of a dump of another server', () => {
  const future = 9_000_000_000n

  test('the last tick may have seen the future: counting starts anew', async () => {
    const { organizationId, x, held } = await scene(2)
    await report(database, x, held.slice(0, 1))
    await database.query('update public.fw_worker_ticks set seen = $1::pg_snapshot', [`${future}:${future}:`])
    expect(await tick()).toEqual([])
    await report(database, x, held.slice(1))
    expect(counts(await tick(), organizationId)).toEqual([[2, 2, 0, 0]])
    expect(await tick()).toEqual([])
  })

  test('batches that were closed there are not counted again when this server comes to their transaction numbers', async () => {
    const { organizationId, x, held } = await scene(2)
    await report(database, x, held)
    await tick()
    // As the dump brings it: closed by a transaction whose number this server gives to another one soon.
    await database.query(
      `update public.fw_worker_runs set finished_at = now() - interval '1 hour', claimed_at = now() - interval '1 hour',
         finished_xid = (pg_current_xact_id()::text::bigint + 20)::text::xid8 where organization_id = $1`,
      [organizationId],
    )
    await database.query('update public.fw_worker_ticks set seen = $1::pg_snapshot', [`${future}:${future}:`])
    const rows: TickRow[] = []
    for (let round = 0; round < 40; round++) rows.push(...(await tick()))
    expect(counts(rows, organizationId)).toEqual([])
  })
})
