import { randomInt } from 'node:crypto'
import { expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { type Claimed, claimAsIs, enqueue, one, organization, report, reportFailures, type Session, sqlDatabase, withSessions, workflow } from '../../support/sql.js'
import { check, invoke } from './scene.js'

const database = sqlDatabase()

test('the watchdog, claims, reports, and executions that invoke others in parallel: no deadlock, and nothing outlives what it works for', async () => {
  const name = workflow()
  const organizationId = await organization(database, { batchSize: 4, concurrency: 10 })
  const errors: string[] = []
  const counts = new Map<string, number>()
  const until = Date.now() + 5000
  const loop = async (what: string, step: () => Promise<number>) => {
    while (Date.now() < until) {
      try {
        counts.set(what, (counts.get(what) ?? 0) + (await step()))
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : ''
        // Children are nested at most 20 deep; what was locked for too long is tried again, as executors do.
        if (code !== '54000' && code !== '55P03') errors.push(`${what}: ${code} ${String(error)}`)
      }
    }
  }
  const work = async (session: Session) => {
    const policies = [{ name, on_timeout: 'cancel', backoff_initial_ms: 1, max_attempts: 50 }]
    const x = one(await session.query<{ id: string }>('select public.fw_register_executor($1, $2) as id', ['test', JSON.stringify(policies)])).id
    await loop('work', async () => {
      const held: Claimed[] = await claimAsIs(session, x, 8)
      if (held.length === 0) await enqueue(session, name, organizationId, 3)
      const invoking = held.filter((_, at) => at % 2 === 0)
      for (const row of invoking) {
        await invoke(session, x, row, Array.from({ length: randomInt(1, 4) }, () => name)).catch((error: unknown) => {
          if (!(error instanceof Error) || error.message !== 'it does not wait') throw error
        })
      }
      const [done, failed] = [held.filter((_, at) => at % 4 === 1), held.filter((_, at) => at % 8 === 3)]
      await report(session, x, done)
      await reportFailures(session, x, failed.map((row) => ({ ...row, delayMs: randomInt(3) })))
      // The rest is left running.
      return invoking.length
    })
  }
  const watch = (session: Session) =>
    loop('watch', async () => (await check(session, 20)).filter(({ outcome }) => outcome === 'cancelled').length)
  const wake = (session: Session) =>
    loop('wake', async () => (await session.query(
      `with woken as (
         select q.msg_id from pgmq.q_workflow_execution_queue q join public.fw_workflow_executions e on e.msg_id = q.msg_id
         where e.status = 'waiting' order by random() limit 3 for update of q skip locked)
       update pgmq.q_workflow_execution_queue q set vt = now() from woken where q.msg_id = woken.msg_id returning q.msg_id`)).length)
  const hurry = (session: Session) =>
    loop('hurry', async () => (await session.query(
      `update public.fw_workflow_executions set deadline_at = now() - interval '1 second'
       where id = (select id from public.fw_workflow_executions where deadline_at > now() and status in ('running', 'retry_pending') order by random() limit 1 for no key update skip locked)
       returning id`)).length)
  await withSessions(database, 6, async (...sessions) => {
    const roles = [work, work, work, watch, wake, hurry]
    const outcomes = await Promise.allSettled(sessions.map(async (session, at) => roles[at]?.(session)))
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  })
  expect(errors).toEqual([])
  for (const what of ['work', 'watch', 'wake', 'hurry']) expect([what, (counts.get(what) ?? 0) > 2]).toEqual([what, true])
  await expectInvariantsZero(database.pool)
  const orphans = await database.query(
    `select child.id from public.fw_workflow_executions child join public.fw_workflow_executions parent on parent.id = child.parent_id
     where parent.status = 'cancelled' and child.status in ('queued', 'running', 'waiting', 'retry_pending')`,
  )
  expect(orphans).toEqual([])
})
