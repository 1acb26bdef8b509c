import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { claim, enqueue, executor, one, organization, reportFailures, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

interface Row {
  subject: string
  is_ok: boolean
  detail: string
  hint: string | null
}

const health = () => database.query<Row & Record<string, unknown>>('select * from public.fw_health()')

async function subject(name: string): Promise<Omit<Row, 'subject'>> {
  const { is_ok, detail, hint } = one((await health()).filter((row) => row.subject === name))
  return { is_ok, detail, hint }
}

// Nothing waits and nothing is dead-lettered at the start of a test.
beforeEach(async () => {
  await database.query("select public.fw_dlq_purge('0')")
  await database.query(
    `select public.fw_end_executions(array_agg(e.id), array_agg('cancelled'::public.fw_execution_status), array_agg('over'::text), array_agg('RUNTIME'::text), array_agg(false))
     from public.fw_workflow_executions e where e.status in ('queued', 'running', 'retry_pending') having count(*) > 0`,
  )
})
afterEach(() => expectInvariantsZero(database.pool))

const OLD = "interval '3 minutes 1 second'"

test('there is a row for each subject, each with something to say', async () => {
  const rows = await health()
  expect(rows.map((row) => row.subject)).toEqual(['tick', 'driver', 'executors', 'disabled organizations', 'pause', 'dead letters', 'parked executions', 'claims fail', 'messages', 'sequences', 'retention', 'unknown workflows'])
  for (const row of rows) expect(row.detail).not.toBe('')
})

describe('the tick', () => {
  test('that has not run yet is not ok', async () => {
    expect(await subject('tick')).toEqual({
      is_ok: false,
      detail: 'fw_worker_tick() has not run yet: late, it is due every 00:01:00',
      hint: 'Without pg_cron an executor runs it, and none is alive: start one.',
    })
  })

  test('that ran lately is ok; how long it took and who ran it is told', async () => {
    await database.query('select * from public.fw_worker_tick()')
    expect(await subject('tick')).toEqual({ is_ok: true, detail: expect.stringMatching(/^last run 00:00:0\d ago, took \d+ ms, by session$/) as unknown, hint: null })
  })

  test('is late after three of its periods, and not before', async () => {
    await database.query('select * from public.fw_worker_tick()')
    await database.query("update public.fw_worker_ticks set started_at = now() - interval '2 minutes 50 seconds'")
    expect(await subject('tick')).toMatchObject({ is_ok: true, hint: null })
    await database.query(`update public.fw_worker_ticks set started_at = now() - ${OLD}`)
    expect(await subject('tick')).toEqual({
      is_ok: false,
      detail: expect.stringMatching(/^last run 00:03:0\d ago, took \d+ ms, by session: late, it is due every 00:01:00$/) as unknown,
      hint: 'Without pg_cron an executor runs it, and none is alive: start one.',
    })
    await executor(database, workflow())
    expect(await subject('tick')).toMatchObject({ is_ok: false, hint: 'An executor should run it: look at its log.' })
  })

  test('that is handed to an executor again and again and never succeeds is late', async () => {
    await database.query('select * from public.fw_worker_tick()')
    await database.query(`update public.fw_worker_ticks set started_at = now() - ${OLD}`)
    await database.query("update public.fw_jobs set last_started_at = now() - interval '1 day'")
    const x = await executor(database, workflow())
    expect(await database.query("select from public.fw_take_due_jobs($1) where name = 'process-workflow-queue'", [x])).toHaveLength(1)
    expect(await subject('tick')).toMatchObject({ is_ok: false })
  })
})

describe('the driver of the jobs', () => {
  test('is an executor where there is no pg_cron', async () => {
    await database.query('select * from public.fw_worker_tick()')
    expect(await subject('driver')).toEqual({ is_ok: true, detail: 'there is no pg_cron here: one of the executors runs the jobs', hint: null })
  })

  test('is a pg_cron in another database where that ran the last tick', async () => {
    await database.query("select set_config('fw.job_driver', 'pg_cron', true), public.fw_worker_tick()")
    expect(await subject('driver')).toEqual({ is_ok: true, detail: 'a pg_cron in another database runs the jobs', hint: null })
    await database.query('select * from public.fw_worker_tick()')
  })
})

describe('executors', () => {
  test('are not needed while nothing waits', async () => {
    await organization(database)
    expect(await subject('executors')).toEqual({ is_ok: true, detail: '0 alive', hint: null })
  })

  test('are missed while work of an enabled organization waits', async () => {
    const name = workflow()
    for (let i = 0; i < 2; i++) await enqueue(database, name, await organization(database), 3)
    expect(await subject('executors')).toEqual({
      is_ok: false,
      detail: expect.stringMatching(/^0 alive, while work of 2 organizations waits, the oldest since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*$/) as unknown,
      hint: 'Start an executor: fw run.',
    })
    const x = await executor(database, name)
    expect(await subject('executors')).toEqual({ is_ok: true, detail: '1 alive', hint: null })
    await database.query("update public.fw_executors set last_seen_at = now() - interval '31 seconds' where id = $1", [x])
    expect(await subject('executors')).toMatchObject({ is_ok: false })
    await database.query('update public.fw_executors set last_seen_at = now() where id = $1', [x])
    await database.query('select public.fw_stop_executor($1)', [x])
    expect(await subject('executors')).toMatchObject({ is_ok: false })
  })

  test('are not missed for work that is not due yet', async () => {
    await database.query("select public.fw_enqueue($1, '{}', $2, p_delay => '1 hour')", [workflow(), await organization(database)])
    expect(await subject('executors')).toMatchObject({ is_ok: true })
  })
})

describe('disabled organizations', () => {
  test('are not ok while work waits for one; how to enable it is told', async () => {
    const disabled = await organization(database, { enabled: false })
    expect(await subject('disabled organizations')).toEqual({ is_ok: true, detail: 'no work waits for one', hint: null })
    await enqueue(database, workflow(), disabled)
    const { is_ok, detail, hint } = await subject('disabled organizations')
    expect(is_ok).toBe(false)
    expect(detail).toMatch(new RegExp(`^work of 1 waits while their worker is disabled, such as ${disabled}, the oldest since \\d{4}-`))
    expect(hint).toBe(`select fw_save_worker_settings('${disabled}', true) enables one.`)
    // That work is nobody's to start, so no executor is missed.
    expect(await subject('executors')).toMatchObject({ is_ok: true })
    await database.query((hint ?? '').replace(' enables one.', ''))
    expect(await subject('disabled organizations')).toMatchObject({ is_ok: true })
  })
})

describe('dead letters', () => {
  test('are not ok from the depth on that the alert is set to', async () => {
    await database.query('update public.fw_worker_config set dlq_alert_depth = 3')
    const name = workflow()
    const organizationId = await organization(database)
    const x = await executor(database, name)
    const fail = async (count: number) => {
      await enqueue(database, name, organizationId, count)
      await reportFailures(database, x, (await claim(database, x)).map((row) => ({ ...row, permanent: true })))
    }
    await fail(2)
    expect(await subject('dead letters')).toEqual({ is_ok: true, detail: 'no organization has 3 or more', hint: null })
    await fail(1)
    expect(await subject('dead letters')).toEqual({
      is_ok: false,
      detail: `1 organizations have 3 or more, such as ${organizationId}`,
      hint: 'select error, count(*) from fw_dlq group by 1 shows why; fw_dlq_retry(msg_id) puts one back.',
    })
    expect(await database.query('select error, count(*)::integer from fw_dlq group by 1')).toEqual([{ error: 'it broke', count: 3 }])
    await database.query('update public.fw_worker_config set dlq_alert_depth = 100')
  })
})

describe('a pause', () => {
  test('is not ok, and how to go on is told', async () => {
    expect(await subject('pause')).toEqual({ is_ok: true, detail: 'not paused', hint: null })
    await database.query("select public.fw_pause('an upgrade')")
    expect(await subject('pause')).toMatchObject({ is_ok: false, hint: 'select fw_resume() goes on.' })
    await database.query('select public.fw_resume()')
    expect(await subject('pause')).toMatchObject({ is_ok: true })
  })
})
