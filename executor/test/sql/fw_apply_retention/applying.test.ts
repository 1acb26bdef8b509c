import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { type Claimed, claim, claimOne, deadLetter, enqueue, executor, one, organization, report, reportFailures, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

afterEach(async () => {
  await expectInvariantsZero(database.pool)
  await database.query("update public.fw_worker_config set execution_retention = '30 days', history_retention = '7 days'")
})

interface Gone extends Record<string, unknown> {
  executions: string
  batches: string
  ticks: string
  notices: string
  cron_runs: string
  events: string
}

const apply = async (budget = '20 seconds') => one(await database.query<Gone>('select * from public.fw_apply_retention($1::interval)', [budget]))

const hasMore = async () => one(await database.query<{ has_more: boolean }>("select has_more from public.fw_jobs where name = 'fw-retention'")).has_more

const NOTHING = { executions: '0', batches: '0', ticks: '0', notices: '0', cron_runs: '0', events: '0' }

const ids = async (table: string) => (await database.query<{ id: string }>(`select id from public.${table} order by 1`)).map(({ id }) => id)

/** Everything of an organization was created, and finished, this long ago. Ids tell the time as well, so they change; returns them by the old ones. */
async function longAgo(organizationId: string, age: string, what: 'executions' | 'batches' = 'executions'): Promise<Map<string, string>> {
  const rows = await database.query<{ old: string; new: string }>(
    what === 'executions'
      ? `with moved as (
           select e.id as old, (left(public.fw_uuid_at(now() - $2::interval)::text, 13) || right(e.id::text, 23))::uuid as new
           from public.fw_workflow_executions e where e.organization_id = $1
         ), executions as (
           update public.fw_workflow_executions e set id = m.new, created_at = now() - $2::interval, started_at = now() - $2::interval,
             completed_at = e.completed_at - $2::interval, discarded_at = e.discarded_at - $2::interval
           from moved m where e.id = m.old
         ), steps as (
           update public.fw_execution_steps s set execution_id = m.new from moved m where s.execution_id = m.old
         ), attempts as (
           update public.fw_failed_attempts a set execution_id = m.new from moved m where a.execution_id = m.old
         ), queued as (
           update pgmq.q_workflow_execution_queue q set message = jsonb_set(q.message, '{execution_id}', to_jsonb(m.new))
           from moved m where q.message ->> 'execution_id' = m.old::text
         ), dead as (
           update pgmq.q_workflow_dlq q set message = jsonb_set(q.message, '{execution_id}', to_jsonb(m.new))
           from moved m where q.message ->> 'execution_id' = m.old::text
         )
         select old, new from moved`
      : `with moved as (
           select r.id as old, (left(public.fw_uuid_at(now() - $2::interval)::text, 13) || right(r.id::text, 23))::uuid as new
           from public.fw_worker_runs r where r.organization_id = $1
         ), runs as (
           update public.fw_worker_runs r set id = m.new, claimed_at = now() - $2::interval, finished_at = r.finished_at - $2::interval
           from moved m where r.id = m.old
         ), executions as (
           update public.fw_workflow_executions e set batch_id = m.new from moved m where e.batch_id = m.old
         )
         select old, new from moved`,
    [organizationId, age],
  )
  return new Map(rows.map((row) => [row.old, row.new]))
}

async function scene(count = 1, settings = {}) {
  const name = workflow()
  const organizationId = await organization(database, { batchSize: 50, concurrency: 100, ...settings })
  const x = await executor(database, name)
  await enqueue(database, name, organizationId, count)
  return { name, organizationId, x }
}

const completed = async (count = 1) => {
  const made = await scene(count)
  const held: Claimed[] = []
  while (held.length < count) {
    const more = await claim(database, made.x, 5000)
    expect(await report(database, made.x, more.map((row) => ({ ...row, completed: [{ name: 'a', index: 0, output: 1 }] })))).toEqual([])
    held.push(...more)
  }
  return { ...made, held }
}

describe('executions', () => {
  test('that finished long enough ago go, with their steps; younger ones stay', async () => {
    const [old, young] = [await completed(3), await completed(2)]
    await longAgo(old.organizationId, '31 days')
    await longAgo(young.organizationId, '29 days')
    expect(await apply()).toEqual({ ...NOTHING, executions: '3' })
    const left = await database.query('select organization_id, count(*)::integer from public.fw_workflow_executions group by 1')
    expect(left).toEqual([{ organization_id: young.organizationId, count: 2 }])
    expect(await database.query('select organization_id, count(*)::integer from public.fw_execution_steps group by 1')).toEqual([{ organization_id: young.organizationId, count: 2 }])
    expect(await apply()).toEqual(NOTHING)
  })

  test('of every final status go', async () => {
    const made = await scene(4)
    const held = await claim(database, made.x)
    const [a, b, c, d] = held.map((row) => row.execution_id)
    await report(database, made.x, held.filter((row) => row.execution_id === a))
    await deadLetter(database, made.x, held.find((row) => row.execution_id === b) as Claimed)
    await database.query("select public.fw_dlq_purge('0')")
    await database.query(
      "select public.fw_end_executions($1::uuid[], '{timed_out,cancelled}', '{late,late}', '{TIMEOUT,TIMEOUT}', '{false,false}')",
      [[c, d]],
    )
    const before = await database.query('select e.status::text from public.fw_workflow_executions e where organization_id = $1 order by e.status', [made.organizationId])
    expect(before.map((row) => row['status'])).toEqual(['completed', 'failed', 'timed_out', 'cancelled'])
    await longAgo(made.organizationId, '31 days')
    expect(await apply()).toEqual({ ...NOTHING, executions: '4' })
  })

  test('go with their failed attempts', async () => {
    const [old, young] = [await scene(1), await scene(1)]
    for (const { x } of [old, young]) {
      await reportFailures(database, x, [{ ...(await claimOne(database, x)), delayMs: 0 }])
      expect(await report(database, x, [await claimOne(database, x)])).toEqual([])
    }
    await longAgo(old.organizationId, '31 days')
    expect(await apply()).toEqual({ ...NOTHING, executions: '1' })
    const left = await database.query('select organization_id from public.fw_failed_attempts where organization_id = any ($1::uuid[])', [[old.organizationId, young.organizationId]])
    expect(left).toEqual([{ organization_id: young.organizationId }])
  })

  test('that are live stay, however old', async () => {
    const made = await scene(3)
    const [first, second] = await claim(database, made.x, 2)
    if (!first || !second) throw new Error('two were claimed')
    await reportFailures(database, made.x, [{ ...first, delayMs: 3_600_000 }])
    await longAgo(made.organizationId, '400 days')
    expect(await apply()).toEqual(NOTHING)
    const states = await database.query('select status::text from public.fw_workflow_executions where organization_id = $1 order by 1', [made.organizationId])
    expect(states.map((row) => row['status'])).toEqual(['queued', 'retry_pending', 'running'])
  })

  test('that started long ago and finished lately stay', async () => {
    const made = await scene()
    const held = await claimOne(database, made.x)
    const moved = await longAgo(made.organizationId, '400 days')
    await report(database, made.x, [{ ...held, execution_id: moved.get(held.execution_id) ?? '' }])
    expect(await apply()).toEqual(NOTHING)
  })

  test('that have a dead letter stay as long as that, and can be retried', async () => {
    const made = await scene()
    const letter = await deadLetter(database, made.x, await claimOne(database, made.x))
    await longAgo(made.organizationId, '400 days')
    expect(await apply()).toEqual(NOTHING)
    await database.query('select public.fw_dlq_retry($1)', [letter])
    expect(await apply()).toEqual(NOTHING)
    expect(await report(database, made.x, [await claimOne(database, made.x)])).toEqual([])
  })

  test("that were put back on the queue by the guide's statements, and not been claimed yet, stay", async () => {
    const made = await scene()
    const letter = await deadLetter(database, made.x, await claimOne(database, made.x))
    await longAgo(made.organizationId, '400 days')
    await database.query(
      `with dlq_msg as (select message from pgmq.q_workflow_dlq where msg_id = $1)
       select pgmq.send('workflow_execution_queue', jsonb_set(message, '{attempt}', '1'::jsonb)) from dlq_msg`,
      [letter],
    )
    await database.query("select pgmq.delete('workflow_dlq', $1::bigint)", [letter])
    expect(await apply()).toEqual(NOTHING)
    const again = [...(await claim(database, made.x)), ...(await claim(database, made.x))]
    expect(again).toHaveLength(1)
    expect(await report(database, made.x, again)).toEqual([])
  })

  test('go as much as the budget allows; the next run goes on where this one stopped, and fw_jobs says that there is more', async () => {
    const made = await completed(4500)
    await longAgo(made.organizationId, '31 days')
    const kept = await scene()
    await deadLetter(database, kept.x, await claimOne(database, kept.x))
    await longAgo(kept.organizationId, '32 days')
    const counts: number[] = []
    do counts.push(Number((await apply('0')).executions))
    while (await hasMore())
    expect(counts.length).toBeGreaterThan(2)
    expect(counts.slice(1, -1).filter((count) => count === 0)).toEqual([])
    expect(counts.reduce((total, count) => total + count, 0)).toBe(4500)
    expect(await database.query('select from public.fw_execution_steps where organization_id = $1', [made.organizationId])).toEqual([])
  })
})

describe('history', () => {
  test('batches that were closed long enough ago go; open ones and younger ones stay', async () => {
    await database.query('delete from public.fw_worker_runs where finished_at is not null')
    const [old, young] = [await completed(1), await completed(1)]
    const open = await scene()
    const held = await claimOne(database, open.x)
    await longAgo(old.organizationId, '8 days', 'batches')
    await longAgo(young.organizationId, '6 days', 'batches')
    const moved = await longAgo(open.organizationId, '100 days', 'batches')
    expect(await apply()).toEqual({ ...NOTHING, batches: '1' })
    const left = await database.query('select organization_id from public.fw_worker_runs where organization_id = any ($1::uuid[])', [
      [old, young, open].map(({ organizationId }) => organizationId),
    ])
    expect(left.map((row) => row['organization_id']).sort()).toEqual([young.organizationId, open.organizationId].sort())
    expect(await report(database, open.x, [{ ...held, batch_id: moved.get(held.batch_id) ?? '' }])).toEqual([])
  })

  test('ticks go with their results, but the last one stays, since the next one goes on from it', async () => {
    const made = await completed()
    await database.query('select public.fw_worker_tick()')
    await report(database, made.x, [])
    await completed()
    await database.query('select public.fw_worker_tick()')
    await database.query("update public.fw_worker_ticks set started_at = started_at - interval '8 days'")
    const before = await ids('fw_worker_ticks')
    expect(before.length).toBeGreaterThan(1)
    const last = before.map(Number).sort((a, b) => a - b).at(-1)
    expect(Number((await apply()).ticks)).toBe(before.length - 1)
    expect((await ids('fw_worker_ticks')).map(Number)).toEqual([last])
    const kept = await database.query<{ tick_id: string }>('select distinct tick_id from public.fw_worker_tick_results')
    expect(kept.map((row) => Number(row.tick_id))).toEqual([last])
    const done = await completed()
    const rows = await database.query('select organization_id, succeeded from public.fw_worker_tick()')
    expect(rows).toEqual([{ organization_id: done.organizationId, succeeded: '1' }])
    expect(await apply()).toEqual({ ...NOTHING, ticks: '1' })
  })

  test('events go when their time is over', async () => {
    const made = await completed()
    for (const key of ['old', 'young']) await database.query('select public.fw_emit_event($1, $2)', [made.organizationId, key])
    await database.query("update public.fw_events set expires_at = now() where key = 'old'")
    expect(await apply()).toEqual({ ...NOTHING, events: '1' })
    expect(await database.query('select key from public.fw_events where organization_id = $1', [made.organizationId])).toEqual([{ key: 'young' }])
  })

  test('notices go', async () => {
    await database.query(
      "insert into public.fw_notices (created_at, kind, message) values (now() - interval '8 days', 'test', 'old'), (now() - interval '6 days', 'test', 'young')",
    )
    expect(await apply()).toEqual({ ...NOTHING, notices: '1' })
    expect(await database.query("select message from public.fw_notices where kind = 'test'")).toEqual([{ message: 'young' }])
  })
})

describe('the retention that fw_worker_config says', () => {
  test('counts', async () => {
    const made = await completed()
    await longAgo(made.organizationId, '2 hours')
    expect(await apply()).toEqual(NOTHING)
    await database.query("update public.fw_worker_config set execution_retention = '1 hour'")
    await apply()
    expect(await database.query('select from public.fw_workflow_executions where organization_id = $1', [made.organizationId])).toEqual([])
  })

  test.each(['100 years', '6000 years', 'infinity'])('may be as long as for ever: %s', async (age) => {
    const { version } = one(await database.query<{ version: number }>("select current_setting('server_version_num')::integer as version"))
    // Before Postgres 17 no interval was infinite.
    if (age === 'infinity' && version < 170_000) return

    const made = await completed()
    await longAgo(made.organizationId, '10 years')
    await longAgo(made.organizationId, '10 years', 'batches')
    await database.query('update public.fw_worker_config set execution_retention = $1::interval, history_retention = $1::interval', [age])
    expect(await apply()).toEqual(NOTHING)
    await database.query("update public.fw_worker_config set execution_retention = '30 days', history_retention = '7 days'")
    expect(await apply()).toMatchObject({ executions: '1', batches: '1' })
  })

  test.each([
    ['execution_retention', "'0'"],
    ['execution_retention', "'59 minutes'"],
    ['execution_retention', "'-1 day'"],
    ['history_retention', "'59 minutes'"],
    ['dlq_retention', "'59 minutes'"],
    ['dlq_alert_depth', '0'],
    ['dlq_alert_depth', '-5'],
  ])('is refused where it is nonsense: %s %s', async (column, value) => {
    await expect(database.query(`update public.fw_worker_config set ${column} = ${value}`)).rejects.toMatchObject({
      code: '23514',
      constraint: `fw_worker_config_${column}_check`,
    })
  })

  test.each(['execution_retention', 'history_retention', 'dlq_retention', 'dlq_alert_depth'])('is never unknown: %s', async (column) => {
    await expect(database.query(`update public.fw_worker_config set ${column} = null`)).rejects.toMatchObject({ code: '23502', column })
  })

  test('is one row', async () => {
    await expect(database.query('insert into public.fw_worker_config default values')).rejects.toMatchObject({ code: '23505' })
    await expect(database.query('insert into public.fw_worker_config (only_row) values (false)')).rejects.toMatchObject({ code: '23514' })
  })
})
