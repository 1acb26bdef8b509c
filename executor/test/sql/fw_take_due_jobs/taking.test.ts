import { randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { executor, one, type Queryable, sqlDatabase, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

const ALL = ['fw-dlq-auto-discard', 'fw-dlq-threshold-check', 'fw-retention', 'process-workflow-queue', 'workflow-timeout-watchdog']

const take = async (x: string | null, on: Queryable = database) => {
  const rows = await on.query<{ name: string; command: string }>('select * from public.fw_take_due_jobs($1)', [x])
  return rows.map(({ name }) => name)
}

/** Lets a job have run last at this time, in SQL. */
const lastRun = (name: string, at: string) => database.query(`update public.fw_jobs set last_started_at = ${at} where name = $1`, [name])

beforeEach(() => database.query('update public.fw_jobs set last_started_at = null'))

describe('jobs that are due', () => {
  test('go to the executor that asks, the most frequent first, and to nobody again in the same period', async () => {
    const [x, y] = [await executor(database, workflow()), await executor(database, workflow())]
    await withSessions(database, 1, async (session) => {
      // In one transaction no time passes.
      await session.query('begin')
      expect(await take(x, session)).toEqual([
        'process-workflow-queue',
        'fw-retention',
        'fw-dlq-threshold-check',
        'workflow-timeout-watchdog',
        'fw-dlq-auto-discard',
      ])
      expect(await take(x, session)).toEqual([])
      expect(await take(y, session)).toEqual([])
      await session.query('commit')
    })
  })

  test('bring the commands that stand in sql/cron', async () => {
    const x = await executor(database, workflow())
    const rows = await database.query('select * from public.fw_take_due_jobs($1)', [x])
    expect(rows).toEqual(await database.query('select name, command from public.fw_jobs order by period, name'))
  })

  test('go to one executor only when two ask at once', async () => {
    const [x, y] = [await executor(database, workflow()), await executor(database, workflow())]
    await withSessions(database, 2, async (first, second) => {
      await first.query('begin')
      expect((await take(x, first)).sort()).toEqual(ALL)
      await second.query("set lock_timeout = '1ms'")
      expect(await take(y, second)).toEqual([])
      await first.query("update public.fw_jobs set last_started_at = now() + interval '1 minute'")
      await first.query('commit')
      expect(await take(y, second)).toEqual([])
    })
  })

  test('of an executor that dies before it has them are taken by the next', async () => {
    const [x, y] = [await executor(database, workflow()), await executor(database, workflow())]
    await withSessions(database, 1, async (session) => {
      await session.query('begin')
      expect(await take(x, session)).toHaveLength(5)
      await session.query('rollback')
    })
    expect(await take(y)).toHaveLength(5)
  })

  test('come again in the next period, each in its own', async () => {
    const x = await executor(database, workflow())
    await database.query("update public.fw_jobs set last_started_at = now() + interval '1 day'")
    const midnight = "date_trunc('day', now() at time zone 'UTC') at time zone 'UTC'"
    const since = (minutes: number) => `date_bin('${minutes} minutes', now(), '2000-01-01Z')`
    await lastRun('process-workflow-queue', `${since(1)} - interval '1 second'`)
    expect(await take(x)).toEqual(['process-workflow-queue'])
    await lastRun('process-workflow-queue', "now() + interval '1 day'")
    await lastRun('workflow-timeout-watchdog', `${since(5)} - interval '1 second'`)
    expect(await take(x)).toEqual(['workflow-timeout-watchdog'])
    await lastRun('workflow-timeout-watchdog', "now() + interval '1 day'")
    await lastRun('fw-retention', `${since(2)} - interval '1 second'`)
    expect(await take(x)).toEqual(['fw-retention'])
    await lastRun('fw-retention', "now() + interval '1 day'")
    // Daily at 02:00 UTC: the last one that has passed.
    const due = `case when now() >= ${midnight} + interval '2 hours' then ${midnight} + interval '2 hours' else ${midnight} - interval '22 hours' end`
    await lastRun('fw-dlq-auto-discard', `${due} + interval '1 second'`)
    expect(await take(x)).toEqual([])
    await lastRun('fw-dlq-auto-discard', `${due} - interval '1 second'`)
    expect(await take(x)).toEqual(['fw-dlq-auto-discard'])
  })

  test('come again at once when they could not do all in their time', async () => {
    const x = await executor(database, workflow())
    await take(x)
    await database.query("update public.fw_jobs set has_more = true, last_started_at = now() + interval '1 day' where name = 'fw-retention'")
    expect(await take(x)).toEqual(['fw-retention'])
    expect(await take(x)).toEqual([])
  })

  test('are due at the same time whatever the time zone of the session', async () => {
    const x = await executor(database, workflow())
    await database.query("update public.fw_jobs set last_started_at = now() + interval '1 day'")
    const midnight = "date_trunc('day', now() at time zone 'UTC') at time zone 'UTC'"
    await lastRun('fw-dlq-auto-discard', `case when now() >= ${midnight} + interval '2 hours' then ${midnight} + interval '2 hours' else ${midnight} - interval '22 hours' end + interval '1 second'`)
    await withSessions(database, 1, async (session) => {
      for (const zone of ['Pacific/Kiritimati', 'America/New_York', 'Asia/Kathmandu']) {
        await session.query(`set timezone = '${zone}'`)
        expect(await take(x, session)).toEqual([])
      }
    })
  })

  test('go to no executor that has stopped, nor to one that nobody knows', async () => {
    const x = await executor(database, workflow())
    await database.query('select public.fw_stop_executor($1)', [x])
    expect(await take(x)).toEqual([])
    expect(await take(randomUUID())).toEqual([])
    expect(await take(null)).toEqual([])
    expect(await take(await executor(database, workflow()))).toHaveLength(5)
  })
})

test('a job that fails leaves the others, is late until it is due again, and is handed out then', async () => {
  const x = await executor(database, workflow())
  await database.query("update public.fw_worker_ticks set started_at = started_at - interval '1 hour'")
  await database.query("create function fail() returns trigger language plpgsql as $$ begin raise exception 'no tick today'; end $$")
  await database.query('create trigger fail before insert on public.fw_worker_ticks for each row execute function fail()')
  try {
    const rows = await database.query<{ name: string; command: string }>('select * from public.fw_take_due_jobs($1)', [x])
    const outcomes = await Promise.allSettled(rows.map((row) => database.query(row.command)))
    expect(rows.filter((_, at) => outcomes[at]?.status === 'rejected').map(({ name }) => name)).toEqual(['process-workflow-queue'])
    const ran = await database.query("select name from public.fw_jobs where last_driver = 'session' order by name")
    expect(ran.map((row) => row['name'])).toEqual(ALL.filter((name) => name !== 'process-workflow-queue'))
    expect(one(await database.query("select is_ok from public.fw_health() where subject = 'tick'"))).toEqual({ is_ok: false })
  } finally {
    await database.query('drop function fail() cascade')
  }
  await database.query("update public.fw_jobs set last_started_at = last_started_at - interval '1 minute' where name = 'process-workflow-queue'")
  expect(await take(x)).toContain('process-workflow-queue')
})

describe('what somebody has set by hand for one job', () => {
  const settings = ["period = '1 month'", "period = '0'", "period = '-1 day'", "period = '1000 years'", "at = '-1000000 years'", "last_started_at = 'infinity'"]
  test.each(settings)('hinders no other job: %s', async (setting) => {
    const x = await executor(database, workflow())
    const before = await database.query<{ period: string; at: string }>("select period::text, at::text from public.fw_jobs where name = 'fw-retention'")
    await lastRun('fw-retention', 'now()')
    try {
      await database.query(`update public.fw_jobs set ${setting} where name = 'fw-retention'`)
      expect((await take(x)).filter((name) => name !== 'fw-retention').sort()).toEqual(ALL.filter((name) => name !== 'fw-retention'))
    } finally {
      await database.query("update public.fw_jobs set period = $1, at = $2 where name = 'fw-retention'", [before[0]?.period, before[0]?.at])
    }
  })

  test('such as a period of a month is kept: the job is due once in some thirty days', async () => {
    const x = await executor(database, workflow())
    await database.query("update public.fw_jobs set period = '1 month' where name = 'fw-retention'")
    try {
      await take(x)
      expect(await take(x)).not.toContain('fw-retention')
      await lastRun('fw-retention', "now() - interval '31 days'")
      expect(await take(x)).toContain('fw-retention')
    } finally {
      await database.query("update public.fw_jobs set period = '2 minutes' where name = 'fw-retention'")
    }
  })

  test('such as a last run in the far future does not keep the job from running', async () => {
    const x = await executor(database, workflow())
    await lastRun('process-workflow-queue', "'infinity'")
    expect(await take(x)).toContain('process-workflow-queue')
  })
})
