import { expect, test } from 'vitest'
import { one, sqlDatabase } from '../../support/sql.js'

const database = sqlDatabase()

const statements = async (uninstall = false) =>
  (await database.query<{ text: string }>('select text from public.fw_cron_statements($1) as text', [uninstall])).map(({ text }) => text)

const here = async () => one(await database.query<{ name: string }>('select current_database() as name')).name

test('for a pg_cron in another database there is a statement for each job, which names this database', async () => {
  const name = await here()
  expect((await statements()).sort()).toEqual(
    [
      ['process-workflow-queue', '* * * * *', 'select public.fw_worker_tick()'],
      ['workflow-timeout-watchdog', '*/5 * * * *', 'select public.fw_check_deadlines()'],
      ['fw-dlq-threshold-check', '*/5 * * * *', 'select public.fw_check_dlq_threshold()'],
      ['fw-dlq-auto-discard', '0 2 * * *', 'select public.fw_auto_discard_dlq()'],
      ['fw-retention', '*/2 * * * *', 'call public.fw_keep_retention()'],
    ]
      .map(([job, schedule, command]) => `select cron.schedule_in_database('${job ?? ''} @ ${name}', '${schedule ?? ''}', '${command ?? ''}', '${name}');`)
      .sort(),
  )
  expect(await statements()).toEqual((await database.query<{ text: string }>('select public.fw_cron_statements() as text')).map(({ text }) => text))
})

test('and one to remove each', async () => {
  const name = await here()
  const removed = await statements(true)
  expect(removed).toHaveLength(5)
  expect(removed).toContain(`select cron.unschedule(jobid) from cron.job where jobname = 'process-workflow-queue @ ${name}' and database = '${name}';`)
})

test('what the column command of fw_jobs holds is in none of them, nor is a row that is no job', async () => {
  const before = await statements()
  await database.query("update public.fw_jobs set command = 'create role evil superuser'")
  await database.query("insert into public.fw_jobs (name, schedule, period, command, purpose) values ('evil', '* * * * *', '1 minute', 'create role evil superuser', 'evil')")
  expect(await statements()).toEqual(before)
})
