import { describe, expect, test } from 'vitest'
import { one, sqlDatabase, withSessions } from '../../support/sql.js'

const database = sqlDatabase()

/** Each job's command, which locks its row by fw_job_started. */
const COMMANDS = [
  ['process-workflow-queue', 'select public.fw_worker_tick()'],
  ['workflow-timeout-watchdog', 'select public.fw_check_deadlines()'],
  ['fw-dlq-threshold-check', 'select public.fw_check_dlq_threshold()'],
  ['fw-dlq-auto-discard', 'select public.fw_auto_discard_dlq()'],
  ['fw-retention', 'call public.fw_keep_retention()'],
] as const

const job = async (name: string) =>
  one(
    await database.query<{ command: string; last_started_at: Date | null; last_driver: string | null; ran: boolean }>(
      'select command, last_started_at, last_driver, last_duration >= $2 as ran from public.fw_jobs where name = $1',
      [name, '0'],
    ),
  )

describe('a job', () => {
  test('that is not in fw_jobs is refused, and what puts it there is named', async () => {
    await expect(database.query("select public.fw_job_started('no-such-job')")).rejects.toMatchObject({
      code: 'FW007',
      message: "there is no job 'no-such-job' in fw_jobs",
      hint: 'Run fw migrate: it puts the jobs of sql/cron there.',
    })
    await expect(database.query('select public.fw_job_started(null)')).rejects.toMatchObject({ code: 'FW007' })
  })

  test('has the time of its start, later than that of its transaction', async () => {
    await withSessions(database, 1, async (session) => {
      await session.query('begin')
      await session.query('select now()')
      const row = one(await session.query<{ later: boolean }>("select public.fw_job_started('fw-retention') > now() as later"))
      expect(row.later).toBe(true)
    })
  })

  test('all there are, are these', async () => {
    const all = await database.query('select name, command from public.fw_jobs order by name')
    expect(all).toEqual(COMMANDS.map(([name, command]) => ({ name, command })).sort((p, q) => (p.name < q.name ? -1 : 1)))
  })

  test.each(COMMANDS)('%s records when it ran and who ran it', async (name, command) => {
    const before = Date.now() - 3_600_000
    await database.query(command)
    const { last_started_at, last_driver, ran } = await job(name)
    expect(last_started_at?.getTime()).toBeGreaterThan(before)
    expect({ last_driver, ran }).toEqual({ last_driver: 'session', ran: true })
  })

  test.each(COMMANDS)('%s never overlaps itself: a second one returns at once and records nothing', async (name, command) => {
    await withSessions(database, 2, async (first, second) => {
      await second.query("select set_config('fw.job_driver', 'second', false)")
      await first.query('begin')
      await first.query(command)
      await second.query("set lock_timeout = '1ms'")
      await second.query(command)
      await first.query('commit')
      expect(await job(name)).toMatchObject({ last_driver: 'session' })
      await second.query(command)
      expect(await job(name)).toMatchObject({ last_driver: 'second' })
    })
  })

  test.each(COMMANDS)('%s leaves the other jobs free to run', async (_, command) => {
    await withSessions(database, 2, async (first, second) => {
      await second.query("set lock_timeout = '1ms'")
      await second.query("select set_config('fw.job_driver', 'beside it', false)")
      await first.query('begin')
      await first.query(command)
      for (const [name, other] of COMMANDS) {
        if (other === command) continue
        await second.query(other)
        expect(await job(name)).toMatchObject({ last_driver: 'beside it' })
      }
      await first.query('rollback')
    })
  })
})
