import { randomInt } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { type Claimed, claim, claimAsIs, enqueue, execution, extend, makeVisible, organization, report, reportFailures, type Session, sqlDatabase, untilBlocked, withSessions, workflow } from '../../support/sql.js'
import { check, deadlineIn, running, scene } from './scene.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

describe('the watchdog waits for', () => {
  test('a report that holds the batch, and leaves alone what it has completed', async () => {
    const { x, id, held } = await running(database, { on_timeout: 'fail' })
    await deadlineIn(database, id, -1)
    await withSessions(database, 2, async (reporter, watchdog) => {
      await reporter.query('begin')
      expect(await report(reporter, x, [{ ...held, output: 'in time' }])).toEqual([])
      const checked = check(watchdog)
      await untilBlocked(database, watchdog)
      await reporter.query('commit')
      expect(await checked).toEqual([])
    })
    expect(await execution(database, id)).toMatchObject({ status: 'completed', output: 'in time' })
    expect(await database.query('select from public.fw_dlq where execution_id = $1', [id])).toEqual([])
  })

  test('a report of a step, which holds nothing but the batch, and leaves alone what is completed then', async () => {
    const { x, id, held } = await running(database, { on_timeout: 'fail' })
    await deadlineIn(database, id, -1)
    await withSessions(database, 2, async (reporter, watchdog) => {
      await reporter.query('begin')
      expect(await report(reporter, x, [{ ...held, done: false, completed: [{ name: 'a', index: 0, output: 1 }] }])).toEqual([])
      const checked = check(watchdog)
      await untilBlocked(database, watchdog)
      expect(await report(reporter, x, [held])).toEqual([])
      await reporter.query('commit')
      expect(await checked).toEqual([])
    })
    expect(await execution(database, id)).toMatchObject({ status: 'completed' })
  })

  test('a report that holds the batch, and ends what it has left', async () => {
    const { name, organizationId, x, id } = await scene(database, { on_timeout: 'cancel' })
    await enqueue(database, name, organizationId)
    const held = await claim(database, x)
    expect(held).toHaveLength(2)
    for (const { execution_id } of held) await deadlineIn(database, execution_id, -1)
    const other = held.find((row) => row.execution_id !== id)?.execution_id ?? ''
    await withSessions(database, 2, async (reporter, watchdog) => {
      await reporter.query('begin')
      expect(await report(reporter, x, held.filter((row) => row.execution_id === id))).toEqual([])
      const checked = check(watchdog)
      await untilBlocked(database, watchdog)
      await reporter.query('commit')
      expect(await checked).toMatchObject([{ execution_id: other, outcome: 'cancel' }])
    })
    expect(await execution(database, id)).toMatchObject({ status: 'completed' })
    expect(await execution(database, other)).toMatchObject({ status: 'cancelled' })
  })

  test('a report of a failure, and ends the retry that it has left', async () => {
    const { x, id, held } = await running(database, { on_timeout: 'cancel' })
    await deadlineIn(database, id, -1)
    await withSessions(database, 2, async (reporter, watchdog) => {
      await reporter.query('begin')
      expect(await reportFailures(reporter, x, [held])).toEqual({ [id]: 'retry_pending' })
      const checked = check(watchdog)
      await untilBlocked(database, watchdog)
      await reporter.query('commit')
      expect(await checked).toMatchObject([{ execution_id: id, outcome: 'cancel' }])
    })
    expect(await execution(database, id)).toMatchObject({ status: 'cancelled', next_retry_at: null })
  })

  test('an extension of the deadline, and leaves alone what has time again', async () => {
    const { x, id, held } = await running(database, { on_timeout: 'fail' })
    await deadlineIn(database, id, -1)
    await withSessions(database, 2, async (administrator, watchdog) => {
      await administrator.query('begin')
      await administrator.query("select public.fw_extend_deadline($1, 60, 'nearly done')", [id])
      const checked = check(watchdog)
      await untilBlocked(database, watchdog)
      await administrator.query('commit')
      expect(await checked).toEqual([])
    })
    expect(await report(database, x, [held])).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'completed' })
  })

  test('a claim of what it found waiting, and leaves that run to the next look', async () => {
    const { x, id, held } = await running(database, { on_timeout: 'cancel' })
    await reportFailures(database, x, [{ ...held, delayMs: 0 }])
    await makeVisible(database, [id])
    await deadlineIn(database, id, -1)
    await withSessions(database, 2, async (claimer, watchdog) => {
      await claimer.query('begin')
      const again = await claim(claimer, x)
      expect(again).toMatchObject([{ execution_id: id, attempt: 2 }])
      const checked = check(watchdog)
      await untilBlocked(database, watchdog)
      await claimer.query('commit')
      expect(await checked).toEqual([])
      expect(await execution(database, id)).toMatchObject({ status: 'running' })
      expect(await check(watchdog)).toMatchObject([{ execution_id: id, outcome: 'cancel' }])
      expect(await report(database, x, again)).toEqual([id])
    })
  })
})

describe('others, while the watchdog has not yet committed:', () => {
  test('a report waits for it and is refused', async () => {
    const { x, id, held } = await running(database, { on_timeout: 'cancel' })
    await deadlineIn(database, id, -1)
    await withSessions(database, 2, async (watchdog, reporter) => {
      await watchdog.query('begin')
      expect(await check(watchdog)).toHaveLength(1)
      const late = report(reporter, x, [held])
      await untilBlocked(database, reporter)
      await watchdog.query('commit')
      expect(await late).toEqual([id])
    })
    expect(await execution(database, id)).toMatchObject({ status: 'cancelled', output: null })
  })

  test('an extension waits for it and is refused', async () => {
    const { id } = await running(database, { on_timeout: 'cancel' })
    await deadlineIn(database, id, -1)
    await withSessions(database, 2, async (watchdog, administrator) => {
      await watchdog.query('begin')
      expect(await check(watchdog)).toHaveLength(1)
      const late = administrator.query("select public.fw_extend_deadline($1, 60, 'nearly done')", [id])
      const refused = expect(late).rejects.toMatchObject({ code: 'FW004' })
      await untilBlocked(database, administrator)
      await watchdog.query('commit')
      await refused
    })
  })

  test('a claim neither waits for it nor takes what it ends', async () => {
    const { x, id, held } = await running(database, { on_timeout: 'cancel' })
    await reportFailures(database, x, [{ ...held, delayMs: 0 }])
    await makeVisible(database, [id])
    await deadlineIn(database, id, -1)
    await withSessions(database, 2, async (watchdog, claimer) => {
      await watchdog.query('begin')
      expect(await check(watchdog)).toHaveLength(1)
      await claimer.query("set lock_timeout = '1ms'")
      expect(await claim(claimer, x)).toEqual([])
      await watchdog.query('commit')
      expect(await claim(claimer, x)).toEqual([])
    })
  })

  test('a second watchdog does nothing', async () => {
    const { id } = await running(database, { on_timeout: 'cancel' })
    await deadlineIn(database, id, -1)
    await withSessions(database, 2, async (first, second) => {
      await first.query('begin')
      expect(await check(first)).toHaveLength(1)
      await second.query("set lock_timeout = '1ms'")
      expect(await check(second)).toEqual([])
      await first.query('commit')
    })
  })
})

/** Refusals that are answers; one of them is a lock that was held for too long. */
const ANSWERS = new Set(['FW001', 'FW003', 'FW004', 'FW005', '55P03'])

test('watchdog, ticks, claims, reports, extensions and resets in parallel: no deadlock, and nothing ends twice', async () => {
  const names = [workflow(), workflow(), workflow()]
  const organizations = [await organization(database, { batchSize: 5, concurrency: 3 }), await organization(database, { batchSize: 3, concurrency: 2 })]
  const refill = async (session: Session) => {
    for (const id of organizations) await enqueue(session, names[randomInt(names.length)] ?? '', id, 5)
  }
  const errors: string[] = []
  const counts = new Map<string, number>()
  const completed: string[] = []
  const ended: string[] = []
  const until = Date.now() + 6000
  const loop = async (what: string, step: () => Promise<number>) => {
    while (Date.now() < until) {
      try {
        counts.set(what, (counts.get(what) ?? 0) + (await step()))
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : ''
        if (!ANSWERS.has(code)) errors.push(`${what}: ${code} ${String(error)}`)
      }
    }
  }
  const work = async (session: Session) => {
    const policies = names.map((name, at) => ({ name, on_timeout: ['fail', 'cancel', 'escalate'][at], backoff_initial_ms: 1, max_attempts: 50 }))
    const [registered] = await session.query<{ id: string }>('select public.fw_register_executor($1, $2) as id', ['test', JSON.stringify(policies)])
    const x = registered?.id ?? ''
    await loop('work', async () => {
      const held: Claimed[] = await claimAsIs(session, x, 8)
      for (const { id } of await session.query<{ id: string }>('select id from public.fw_worker_runs where taken_at is null and finished_at is null limit 2')) {
        held.push(...(await session.query<Claimed & Record<string, unknown>>('select * from public.fw_take_batch($1, $2)', [x, id])))
      }
      if (held.length === 0) await refill(session)
      await extend(session, x, held)
      const [done, failed] = [held.filter((_, at) => at % 3 === 0), held.filter((_, at) => at % 3 === 1)]
      const refused = new Set(await report(session, x, done))
      completed.push(...done.map((row) => row.execution_id).filter((id) => !refused.has(id)))
      await reportFailures(session, x, failed.map((row) => ({ ...row, delayMs: randomInt(3) })))
      // The rest is left running, for the watchdog.
      return done.length
    })
  }
  const watch = (session: Session) =>
    loop('watch', async () => {
      const rows = await check(session, 20)
      ended.push(...rows.filter(({ outcome }) => outcome !== 'warned').map((row) => row.execution_id))
      return rows.length
    })
  const hurry = (session: Session) =>
    loop('hurry', async () => {
      const rows = await session.query(
        `update public.fw_workflow_executions set deadline_at = now() + make_interval(secs => random() * 2 - 1)
         where id = (select id from public.fw_workflow_executions where deadline_at > now() + interval '2 seconds' and status in ('running', 'retry_pending') order by random() limit 1 for no key update skip locked)
         returning id`,
      )
      return rows.length
    })
  const postpone = (session: Session) =>
    loop('postpone', async () => {
      const [row] = await session.query<{ id: string }>("select id from public.fw_workflow_executions where deadline_at < now() + interval '1 second' and status in ('running', 'retry_pending') order by random() limit 1")
      if (row !== undefined) await session.query("select public.fw_extend_deadline($1, 1, 'nearly done')", [row.id])
      return row === undefined ? 0 : 1
    })
  const tick = (session: Session) =>
    loop('tick', async () => {
      await session.query(
        `with run as (
           update public.fw_worker_runs set lease_expires_at = now() - interval '1 second'
           where id = (select id from public.fw_worker_runs where finished_at is null order by random() limit 1 for no key update skip locked) returning id, lease_expires_at)
         update pgmq.q_workflow_execution_queue q set vt = run.lease_expires_at
         from run join public.fw_workflow_executions e on e.batch_id = run.id where e.status = 'running' and q.msg_id = e.msg_id`,
      )
      await session.query('select * from public.fw_worker_tick()')
      await session.query('update fw_module_settings set worker_running = false where worker_running and organization_id = $1', [organizations[randomInt(2)]])
      return 1
    })
  await withSessions(database, 7, async (...sessions) => {
    const roles = [work, work, work, watch, hurry, postpone, tick]
    const outcomes = await Promise.allSettled(sessions.map(async (session, at) => roles[at]?.(session)))
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  })
  expect(errors).toEqual([])
  for (const what of ['work', 'watch', 'hurry', 'postpone', 'tick']) expect([what, (counts.get(what) ?? 0) > 2]).toEqual([what, true])
  await expectInvariantsZero(database.pool)
  // What was accepted as done is done, what was ended is ended, and nothing is both.
  expect(new Set(completed).size).toBe(completed.length)
  expect(new Set(ended).size).toBe(ended.length)
  const states = await database.query<{ id: string; status: string }>("select id, status::text from public.fw_workflow_executions where status in ('completed', 'timed_out', 'cancelled') and organization_id = any ($1::uuid[])", [organizations])
  const of = (...wanted: string[]) => states.filter(({ status }) => wanted.includes(status)).map(({ id }) => id).sort()
  expect(of('completed')).toEqual(completed.toSorted())
  expect(of('timed_out', 'cancelled')).toEqual(ended.toSorted())
})
