import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, expectInvariantsZero, type TestDatabase } from '../../support/database.js'
import { fakePgCron } from '../../support/fake-cron.js'
import { claim, deadLetter, enqueue, execution, executor, type Held, one, organization, report, workflow } from '../../support/sql.js'

/** As logical replication does: the rows of every table, no trigger fires, and the sequences stay where they are. */
async function copyRows(from: TestDatabase, to: TestDatabase): Promise<void> {
  const tables = await from.query<{ name: string }>(
    `select c.oid::regclass::text as name from pg_class c
     where c.relkind = 'r' and ((c.relnamespace = 'public'::regnamespace and c.relname like 'fw\\_%') or (c.relnamespace = 'pgmq'::regnamespace and c.relname like '%_workflow_%'))`,
  )
  const client = await to.pool.connect()
  try {
    await client.query('set session_replication_role = replica')
    for (const { name } of tables) {
      const { rows } = one(await from.query<{ rows: unknown }>(`select coalesce(jsonb_agg(to_jsonb(t)), '[]') as rows from ${name} t`))
      await client.query(`delete from ${name}`)
      await client.query(`insert into ${name} overriding system value select * from jsonb_populate_recordset(null::${name}, $1::jsonb)`, [JSON.stringify(rows)])
    }
  } finally {
    await client.query('reset session_replication_role')
    client.release()
  }
}

describe('after a switch-over by logical replication', () => {
  let there: TestDatabase
  let here: TestDatabase
  const name = workflow()
  let running: Held
  let by = ''
  let organizationId = ''

  beforeAll(async () => {
    there = await createDatabase()
    here = await createDatabase()
    organizationId = await organization(there, { visibilityTimeout: 600 })
    by = await executor(there, name)
    await enqueue(there, name, organizationId, 5)
    const held = await claim(there, by, 5)
    const [first, second] = held
    if (first === undefined || second === undefined) throw new Error('five were claimed')
    await deadLetter(there, by, first)
    await report(there, by, [second])
    await there.query('select * from public.fw_worker_tick()')
    await there.query("insert into public.fw_notices (kind, message) values ('test', 'one')")
    await there.query("update public.fw_jobs set installed_at = now(), installed_by = current_user, last_driver = 'pg_cron'")
    running = held[2] ?? first
    await enqueue(there, name, organizationId, 2)
    await copyRows(there, here)
  })

  afterAll(async () => {
    await there.drop()
    await here.drop()
  })

  const health = async (subject: string) => one(await here.query('select is_ok, detail, hint from public.fw_health() where subject = $1', [subject]))

  test('fw_health says which sequences stand behind, and what to do', async () => {
    expect(await health('sequences')).toMatchObject({
      is_ok: false,
      detail: expect.stringMatching(/^4 stand behind .*fw_notices.id at 0 of 1, public.fw_worker_ticks.id at 0 of 1$/) as unknown,
      hint: expect.stringContaining('fw_after_restore()') as unknown,
    })
    expect(one(await there.query("select is_ok from public.fw_health() where subject = 'sequences'"))).toEqual({ is_ok: true })
  })

  test('fw_after_restore sets them past what is in use, fences the executors of the old place, and forgets jobs that nobody would run', async () => {
    const did = await here.query<{ what: string }>('select * from public.fw_after_restore()')
    expect(did.map((row) => row.what)).toEqual(['sequence', 'sequence', 'sequence', 'sequence', 'leases', 'executors', 'jobs'])
    expect(await health('sequences')).toEqual({ is_ok: true, detail: 'numbers are given on from the highest in use', hint: null })
    expect(one(await here.query('select public.fw_pg_cron_is_in_charge() as pg_cron, public.fw_is_paused() as paused'))).toEqual({ pg_cron: false, paused: false })
    await expectInvariantsZero(here.pool)
    // No number of a message is given twice.
    const used = (await here.query<{ msg_id: string }>('select msg_id from public.fw_workflow_executions')).map((row) => row.msg_id)
    const [id = ''] = await enqueue(here, name, organizationId)
    expect(used).not.toContain((await execution(here, id)).msg_id)
    // A late report of the old place changes nothing.
    expect(await report(here, by, [running])).toEqual([running.execution_id])
    // What ran there is tried again here, at once, as after a crash.
    const anew = await executor(here, name)
    await here.query('select * from public.fw_worker_tick()')
    const held = await claim(here, anew)
    expect(await execution(here, running.execution_id)).toMatchObject({ status: 'running', retry_count: 1 })
    expect(await report(here, anew, held)).toEqual([])
    await expectInvariantsZero(here.pool)
  })

  test('called again it does nothing but stop the executors that have come since', async () => {
    expect((await here.query<{ what: string }>('select * from public.fw_after_restore()')).map((row) => row.what).filter((what) => what !== 'leases')).toEqual(['executors'])
    expect(await here.query('select * from public.fw_after_restore()')).toEqual([])
    await here.query('select * from public.fw_worker_tick()')
    await expectInvariantsZero(here.pool)
  })

  test('jobs that were installed there are installed in the pg_cron that is here', async () => {
    await here.query("update public.fw_jobs set installed_at = now(), installed_by = current_user, last_driver = 'pg_cron'")
    await fakePgCron(here)
    expect(one(await here.query('select public.fw_is_paused() as paused'))).toEqual({ paused: true })
    expect((await here.query<{ what: string }>('select * from public.fw_after_restore()')).map((row) => row.what)).toEqual(['jobs'])
    expect(await here.query('select from cron.job')).toHaveLength(5)
    expect(one(await here.query('select public.fw_is_paused() as paused'))).toEqual({ paused: false })
    expect(await here.query('select * from public.fw_after_restore()')).toEqual([])
  })

  test('it knows every column of the worker that has a sequence', async () => {
    const all = await here.query<{ sequence: string }>(
      `select pg_get_serial_sequence(c.oid::regclass::text, a.attname) as sequence from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attidentity <> ''
       where (c.relnamespace = 'public'::regnamespace and c.relname like 'fw\\_%') or (c.relnamespace = 'pgmq'::regnamespace and c.relname in ('q_workflow_execution_queue', 'q_workflow_dlq'))`,
    )
    const known = await here.query<{ sequence: string }>('select sequence::text from public.fw_sequences()')
    expect(known.map((row) => row.sequence.replace(/^public\./, '')).sort()).toEqual(all.map((row) => row.sequence.replace(/^public\./, '')).sort())
  })
})
