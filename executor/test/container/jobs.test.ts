import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import { Client } from '../../src/client.js'
import { Executor } from '../../src/executor.js'
import { migrate } from '../../src/migrate/index.js'
import { workflow } from '../../src/workflow.js'
import { containerDatabase, describeContainer, everySecond, untilIdle } from '../support/container.js'
import { until, untilStatus } from '../support/executor.js'
import { claimOne, deadLetter, enqueue, execution, executor, expireLeases, type Held, one, organization, workflow as newName } from '../support/sql.js'

const SCHEDULES = {
  'fw-dlq-auto-discard': '0 2 * * *',
  'fw-dlq-threshold-check': '*/5 * * * *',
  'fw-retention': '*/2 * * * *',
  'process-workflow-queue': '* * * * *',
  'workflow-timeout-watchdog': '*/5 * * * *',
}

describeContainer('the jobs, in the pg_cron of the database', () => {
  const database = containerDatabase()

  const scheduled = async (): Promise<Record<string, string>> => {
    const rows = await database.query<{ jobname: string; schedule: string }>('select jobname, schedule from cron.job where active order by jobname')
    return Object.fromEntries(rows.map(({ jobname, schedule }) => [jobname, schedule]))
  }
  const driver = async (job: string): Promise<string | null> =>
    one(await database.query<{ last_driver: string | null }>('select last_driver from public.fw_jobs where name = $1', [job])).last_driver

  /** One execution of a new organization that an executor of plain SQL has claimed; nobody waits for work afterwards. */
  async function claimed(): Promise<{ organizationId: string; executorId: string; held: Held }> {
    const name = newName()
    const organizationId = await organization(database)
    const executorId = await executor(database, name)
    await enqueue(database, name, organizationId)
    const held = await claimOne(database, executorId)
    await database.query('update public.fw_executors set wants_work = false')
    return { organizationId, executorId, held }
  }

  afterEach(async () => {
    await database.query('select public.fw_install_cron_jobs()')
    await database.query('update public.fw_jobs set last_driver = null')
    await database.query('update public.fw_worker_config set dlq_alert_depth = 100')
    await database.query('update public.fw_module_settings set fw_execution_worker_enabled = false')
  })

  test('migrate schedules each of them as specified, to run in this database', async () => {
    expect(await scheduled()).toEqual(SCHEDULES)
    expect(await database.query('select distinct database, username, active from cron.job')).toEqual([{ database: 'fw', username: 'postgres', active: true }])
  })

  test('migrate leaves a job alone that was unscheduled by hand, or rescheduled', async () => {
    await database.query("select cron.unschedule('fw-dlq-auto-discard')")
    await database.query("select cron.schedule('fw-retention', '7 3 * * *', 'select public.fw_apply_retention()')")
    const result = await migrate({ connectionString: database.url })
    const left = Object.fromEntries(Object.entries(SCHEDULES).filter(([name]) => name !== 'fw-dlq-auto-discard'))
    expect(await scheduled()).toEqual({ ...left, 'fw-retention': '7 3 * * *' })
    expect(result.cronJobs).toBe(4)
    await database.query('select public.fw_install_cron_jobs()')
    expect(await scheduled()).toEqual(SCHEDULES)
  })

  test('process-workflow-queue reaps a lost lease', async () => {
    const { held } = await claimed()
    await expireLeases(database, [held])
    await everySecond(database, 'process-workflow-queue')
    await untilStatus(database, held.execution_id, 'retry_pending')
    expect(await execution(database, held.execution_id)).toMatchObject({ retry_count: 1, last_error: expect.stringContaining('lease') as string })
    expect(await driver('process-workflow-queue')).toBe('pg_cron')
  })

  test('process-workflow-queue offers waiting work to an executor, which runs it', async () => {
    const echo = workflow({ name: newName(), input: z.object({}) }, () => 'echoed')
    const organizationId = await organization(database)
    const idle = new Executor({ connectionString: database.url, workflows: [echo], pollInterval: '1d' })
    await idle.start()
    try {
      await untilIdle(database)
      await database.query('update public.fw_executors set wants_work = false')
      const id = one(await enqueue(database, echo.name, organizationId))
      await database.query('update public.fw_executors set wants_work = true where stopped_at is null')
      await everySecond(database, 'process-workflow-queue')
      expect(await new Client({ pool: database.pool }).result(id)).toBe('echoed')
      const offered = await database.query('select driver from public.fw_worker_ticks where batches_offered > 0')
      expect(offered).toEqual([{ driver: 'pg_cron' }])
    } finally {
      await idle.stop({ timeout: 0 })
    }
  })

  test('workflow-timeout-watchdog ends an execution that has missed its deadline', async () => {
    const { held } = await claimed()
    await database.query("update public.fw_workflow_executions set deadline_at = now() - interval '1 minute' where id = $1", [held.execution_id])
    await everySecond(database, 'workflow-timeout-watchdog')
    await untilStatus(database, held.execution_id, 'timed_out')
    expect(await execution(database, held.execution_id)).toMatchObject({ error_category: 'TIMEOUT', dlq_msg_id: expect.any(String) as string })
    expect(await driver('workflow-timeout-watchdog')).toBe('pg_cron')
  })

  test('fw-dlq-threshold-check gives a notice where dead letters pile up', async () => {
    const { organizationId, executorId, held } = await claimed()
    await deadLetter(database, executorId, held)
    await database.query('update public.fw_worker_config set dlq_alert_depth = 1')
    await everySecond(database, 'fw-dlq-threshold-check')
    const notices = async () => database.query("select message from public.fw_notices where kind = 'dlq_threshold' and organization_id = $1", [organizationId])
    await until('there is a notice', async () => (await notices()).length > 0)
    expect(await notices()).toEqual([{ message: expect.stringContaining('1 dead letters') as string }])
    expect(await driver('fw-dlq-threshold-check')).toBe('pg_cron')
  })

  test('fw-dlq-auto-discard discards old dead letters and no others', async () => {
    const [old, fresh] = [await claimed(), await claimed()]
    const oldLetter = await deadLetter(database, old.executorId, old.held)
    const freshLetter = await deadLetter(database, fresh.executorId, fresh.held)
    await database.query("update pgmq.q_workflow_dlq set enqueued_at = now() - interval '31 days' where msg_id = $1", [oldLetter])
    await everySecond(database, 'fw-dlq-auto-discard')
    const letters = async () => (await database.query<{ msg_id: string }>('select msg_id from pgmq.q_workflow_dlq')).map(({ msg_id }) => msg_id)
    await until('the old one is gone', async () => !(await letters()).includes(oldLetter))
    expect(await letters()).toContain(freshLetter)
    expect((await execution(database, old.held.execution_id)).discarded_at).not.toBeNull()
    expect(await driver('fw-dlq-auto-discard')).toBe('pg_cron')
  })

  test('fw-retention deletes old finished executions, batches and the history of these jobs, and nothing else', async () => {
    const [old, fresh] = [await claimed(), await claimed()]
    for (const { executorId, held } of [old, fresh]) {
      await database.query("select public.fw_report($1, array[$2]::uuid[], array[$3]::uuid[], array[true], array['1']::jsonb[], array[1], array['step'], array[1], array['1']::jsonb[], array[1])",
        [executorId, held.execution_id, held.batch_id])
    }
    // As if it had all happened long ago: the time of an id is in it.
    await database.query(`with aged as (
        update public.fw_workflow_executions set id = public.fw_uuid_at(now() - interval '40 days'), completed_at = now() - interval '40 days' where id = $1 returning id)
      update public.fw_execution_steps set execution_id = aged.id from aged where execution_id = $1`, [old.held.execution_id])
    await database.query(`update public.fw_worker_runs set id = public.fw_uuid_at(now() - interval '8 days'), finished_at = now() - interval '8 days' where id = $1`, [old.held.batch_id])
    const details = (command: string, days: number) => database.query(
      `insert into cron.job_run_details (jobid, runid, database, username, command, status, start_time, end_time)
       values (-1, -($2::integer * 10 + length($1)), 'fw', 'postgres', $1, 'succeeded', now() - make_interval(days => $2), now() - make_interval(days => $2))`, [command, days])
    for (const command of ['select public.fw_worker_tick()', 'select 1']) for (const days of [1, 8]) await details(command, days)

    await everySecond(database, 'fw-retention')
    await until('it has run', async () => (await driver('fw-retention')) === 'pg_cron')
    expect(await database.query('select id from public.fw_workflow_executions where status = $1 and organization_id in ($2, $3)', ['completed', old.organizationId, fresh.organizationId])).toEqual([{ id: fresh.held.execution_id }])
    expect(await database.query('select execution_id as id from public.fw_execution_steps')).toEqual([{ id: fresh.held.execution_id }])
    expect(await database.query('select id from public.fw_worker_runs where organization_id in ($1, $2)', [old.organizationId, fresh.organizationId])).toEqual([{ id: fresh.held.batch_id }])
    const kept = await database.query("select command, (now() - start_time > interval '7 days') as old from cron.job_run_details where jobid = -1 order by 1, 2")
    expect(kept).toEqual([
      { command: 'select 1', old: false },
      { command: 'select 1', old: true },
      { command: 'select public.fw_worker_tick()', old: false },
    ])
  })

  test('fw_uninstall_cron_jobs removes them, and no job of anybody else', async () => {
    await database.query("select cron.schedule('mine', '0 0 1 1 *', 'select 1')")
    const removed = await database.query<{ name: string }>('select public.fw_uninstall_cron_jobs() as name')
    expect(removed.map(({ name }) => name)).toEqual(Object.keys(SCHEDULES))
    expect(await scheduled()).toEqual({ mine: '0 0 1 1 *' })
    await database.query("select cron.unschedule('mine')")
  })
})
