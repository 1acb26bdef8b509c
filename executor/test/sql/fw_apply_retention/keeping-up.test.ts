import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { one, sqlDatabase, withSessions } from '../../support/sql.js'

const database = sqlDatabase()
const ORGANIZATION = '00000000-0000-7000-8000-00000000aaaa'

afterEach(async () => {
  await database.query('drop trigger if exists refuse on public.fw_workflow_executions')
  await database.query('delete from public.fw_retention_failures')
  await database.query('delete from public.fw_workflow_executions')
  await database.query('delete from public.fw_execution_steps')
  await expectInvariantsZero(database.pool)
})

/** This many executions that were completed 31 days ago, with a step each; the oldest first. */
const completed = async (count: number) =>
  (
    await database.query<{ id: string }>(
      `with made as (
         insert into public.fw_workflow_executions (id, workflow_name, organization_id, status, input, msg_id, created_at, completed_at)
         select (left(public.fw_uuid_at(now() - interval '31 days')::text, 13) || right(public.fw_uuid()::text, 23))::uuid,
           'old', $2, 'completed', '{}', 0, now() - interval '31 days', now() - interval '31 days'
         from generate_series(1, $1)
         returning id
       ), steps as (
         insert into public.fw_execution_steps (execution_id, node_id, organization_id, step_index, attempt_number, status, started_at)
         select id, 'a', $2, 0, 1, 'completed', now() from made
       )
       select id from made order by id`,
      [count, ORGANIZATION],
    )
  ).map(({ id }) => id)

const left = async () => (await database.query<{ id: string }>('select id from public.fw_workflow_executions order by id')).map(({ id }) => id)
const health = async () => one(await database.query<{ is_ok: boolean; detail: string; hint: string | null }>("select is_ok, detail, hint from public.fw_health() where subject = 'retention'"))

describe('the job fw-retention', () => {
  test('deletes all there is in one call, in more than one transaction', async () => {
    await completed(5000)
    // Each transaction that deletes leaves its number here; each statement takes a while.
    await database.query(`create table public.seen (xid xid8);
      create function public.note() returns trigger language plpgsql as 'begin perform pg_sleep(0.3); insert into public.seen select pg_current_xact_id(); return null; end';
      create trigger refuse after delete on public.fw_workflow_executions for each statement execute function public.note()`)
    await database.query('call public.fw_keep_retention()')
    expect(await left()).toEqual([])
    const { count } = one(await database.query<{ count: number }>('select count(distinct xid)::integer as count from public.seen'))
    expect(count).toBeGreaterThan(1)
    await database.query('drop function public.note() cascade; drop table public.seen')
  })

  test('stops in time under a statement_timeout, and what it has deleted until then is gone', async () => {
    await completed(3000)
    await database.query(`create function public.slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.002); return null; end';
      create trigger refuse after delete on public.fw_workflow_executions for each row execute function public.slow()`)
    await withSessions(database, 1, async (session) => {
      await session.query("set statement_timeout = '5s'")
      await session.query('call public.fw_keep_retention()')
    })
    await database.query('drop function public.slow() cascade')
    const rest = (await left()).length
    expect(rest).toBeGreaterThan(0)
    expect(rest).toBeLessThan(3000)
    await database.query('call public.fw_keep_retention()')
    expect(await left()).toEqual([])
  })

  test('does one round in the transaction of an executor, and says that there is more', async () => {
    await completed(3000)
    await database.query(`create function public.slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.001); return null; end';
      create trigger refuse after delete on public.fw_workflow_executions for each row execute function public.slow()`)
    await withSessions(database, 1, async (session) => {
      await session.query('begin')
      await session.query("select set_config('fw.job_driver', 'executor x', true)")
      await session.query('call public.fw_keep_retention()')
      await session.query('commit')
    })
    await database.query('drop function public.slow() cascade')
    expect((await left()).length).toBeGreaterThan(0)
    expect(one(await database.query("select has_more from public.fw_jobs where name = 'fw-retention'"))).toEqual({ has_more: true })
    await database.query('call public.fw_keep_retention()')
    expect(one(await database.query("select has_more from public.fw_jobs where name = 'fw-retention'"))).toEqual({ has_more: false })
  })
})

describe('a row that cannot be deleted', () => {
  const refuse = async (ids: string[], raise: string) => {
    await database.query(`create or replace function public.refuse() returns trigger language plpgsql as $f$
      begin if old.id = any ('{${ids.join(',')}}'::uuid[]) then ${raise}; end if; return old; end $f$;
      create trigger refuse before delete on public.fw_workflow_executions for each row execute function public.refuse()`)
  }

  test('stays and is told of, while all others go', async () => {
    const ids = await completed(1500)
    const kept = [ids[3], ids[700], ids[1499]].map((id) => id ?? '')
    await refuse(kept, "raise exception 'this one is evidence'")
    await database.query('call public.fw_keep_retention()')
    expect(await left()).toEqual(kept)
    expect(await health()).toMatchObject({
      is_ok: false,
      detail: expect.stringMatching(/^3 rows cannot be deleted, such as \S+ of executions: this one is evidence \(P0001\)$/) as unknown,
      hint: expect.stringContaining('fw_retention_failures') as unknown,
    })
  })

  test('goes when nothing hinders it any more, and is no longer told of', async () => {
    const [id = ''] = await completed(3)
    await refuse([id], "raise exception 'not yet'")
    await database.query('call public.fw_keep_retention()')
    expect(await left()).toEqual([id])
    await database.query('drop trigger refuse on public.fw_workflow_executions')
    await database.query('call public.fw_keep_retention()')
    expect(await left()).toEqual([])
    expect((await health()).is_ok).toBe(true)
  })

  test.each([
    ['a row that a table of yours refers to', "raise exception using errcode = '23503'"],
    ['a division by zero in a trigger of yours', 'perform 1 / (old.retry_count - old.retry_count)'],
  ])('may be %s', async (_, raise) => {
    const [id = ''] = await completed(300)
    await refuse([id], raise)
    await database.query('call public.fw_keep_retention()')
    expect(await left()).toEqual([id])
  })
})

test("somebody's open transaction on an old row holds up no other", async () => {
  const ids = await completed(300)
  await withSessions(database, 1, async (session) => {
    await session.query('begin')
    await session.query('select from public.fw_execution_steps where execution_id = $1 for update', [ids[7]])
    await session.query('select from public.fw_workflow_executions where id = $1 for update', [ids[8]])
    await database.query('call public.fw_keep_retention()')
    expect(await left()).toEqual([ids[7], ids[8]])
    await session.query('rollback')
  })
  await database.query('call public.fw_keep_retention()')
  expect(await left()).toEqual([])
})

describe('fw_health', () => {
  const lastCaughtUp = (ago: string) => database.query('update public.fw_retention set caught_up_at = now() - $1::interval', [ago])

  test('says when retention lags, and is well again when it has caught up', async () => {
    await completed(10)
    await lastCaughtUp('2 hours')
    expect(await health()).toMatchObject({
      is_ok: false,
      detail: expect.stringMatching(/^does not keep up: there is more to delete of executions since /) as unknown,
      hint: expect.stringContaining('call fw_keep_retention()') as unknown,
    })
    await database.query('call public.fw_keep_retention()')
    expect(await health()).toEqual({ is_ok: true, detail: 'what is older than its retention is deleted', hint: null })
  })

  test('is well while nothing is due, however long ago a run was', async () => {
    await lastCaughtUp('100 days')
    expect((await health()).is_ok).toBe(true)
  })
})
