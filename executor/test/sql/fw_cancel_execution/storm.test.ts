import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { type Claimed, claimAsIs, enqueue, extend, one, organization, report, reportFailures, release, type Session, sqlDatabase, withSessions, workflow } from '../../support/sql.js'
import { check } from '../fw_check_deadlines/scene.js'
import { emit } from '../fw_emit_event/scene.js'

const database = sqlDatabase()

const SECONDS = Number(process.env['FW_STORM_SECONDS'] ?? 8)
/** Refusals that are answers: a lost lease, nothing to redrive, children nested too deep, a lock that was held for too long. */
const ANSWERS = new Set(['FW001', 'FW003', 'FW004', 'FW005', '54000', '55P03'])
const KEYS = ['k', 'l', 'm']

/** Lets executions wait: for a map of children, for events and for an hour, all at once. */
async function suspend(on: Session, x: string, held: readonly Claimed[], name: string): Promise<void> {
  const waits = held.flatMap((row, at) => {
    const unique = `${row.batch_id} `
    const children = Array.from({ length: randomInt(4) }, (_, child) => ({ item: at + 1, step: `${unique}map[${child}]`, key: null, workflow: name, ms: null }))
    const events = [KEYS[randomInt(3)], KEYS[randomInt(3)]].map((key, event) => ({ item: at + 1, step: `${unique}event ${event}`, key, workflow: null, ms: 3_600_000 }))
    return [...children, ...events.slice(randomInt(3)), { item: at + 1, step: `${unique}sleep`, key: null, workflow: null, ms: randomInt(200) }]
  })
  const of = <T>(get: (wait: (typeof waits)[number], at: number) => T) => waits.map(get)
  await on.query(
    `select outcome from public.fw_suspend($1, $2::uuid[], $3::uuid[], $4::integer[], $5::text[], $6::integer[], $7::bigint[], $8::timestamptz[], $9::text[], $10::text[],
       $11::jsonb[], $12::text[], $13::integer[])`,
    [x, held.map((row) => row.execution_id), held.map((row) => row.batch_id), of((w) => w.item), of((w) => w.step), of((_, at) => at), of((w) => w.ms), of(() => null),
      of((w) => w.key), of((w) => w.workflow), of((w) => (w.workflow === null ? null : '{}')), of((w) => (w.workflow === null ? null : `${w.step.slice(0, 36)} map`)), of((w) => (w.workflow === null ? null : 2))],
  )
}

test('cancels, with and without compensation, and failures by hand beside everything else that goes on: no deadlock, and every rule holds at every moment', async () => {
  const name = workflow()
  const organizations = [await organization(database, { batchSize: 5, concurrency: 6 }), await organization(database, { batchSize: 3, concurrency: 4 })]
  const errors: string[] = []
  const counts = new Map<string, number>()
  const until = Date.now() + SECONDS * 1000
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
  const someId = async (on: Session, where: string) =>
    (await on.query<{ id: string }>(`select id from public.fw_workflow_executions where ${where} order by random() limit 1`))[0]?.id
  const pick = <T>(items: readonly T[]): T => items[randomInt(items.length)] as T

  const work = async (session: Session) => {
    const policies = [{ name, on_timeout: 'fail', backoff_initial_ms: 1, max_attempts: 3 }]
    const x = one(await session.query<{ id: string }>('select public.fw_register_executor($1, $2) as id', ['test', JSON.stringify(policies)])).id
    await loop('work', async () => {
      const held: Claimed[] = await claimAsIs(session, x, 10)
      for (const { id } of await session.query<{ id: string }>('select id from public.fw_worker_runs where taken_at is null and finished_at is null limit 2')) {
        held.push(...(await session.query<Claimed & Record<string, unknown>>('select * from public.fw_take_batch($1, $2)', [x, id])))
      }
      if (held.length < 3) await enqueue(session, name, pick(organizations), 4)
      await extend(session, x, held)
      const part = (rest: number) => held.filter((_, at) => at % 5 === rest)
      await suspend(session, x, [...part(0), ...part(1)], name)
      await report(session, x, part(2))
      await reportFailures(session, x, part(3).map((row) => ({ ...row, delayMs: randomInt(3), permanent: randomInt(2) === 0 })))
      // Of the rest some are handed back, and some are left, as by an executor that dies.
      await release(session, x, part(4).filter(() => randomInt(2) === 0))
      return held.length
    })
  }
  const cancel = (session: Session) =>
    loop('cancel', async () => {
      const id = await someId(session, `status in ('waiting', 'running', 'queued') and (parent_id is null or random() < 0.3)`)
      if (id === undefined) return 0
      const { done } = one(await session.query<{ done: boolean }>(
        randomInt(5) === 0 ? "select public.fw_fail_execution($1, 'by hand') as done" : 'select public.fw_cancel_execution($1, null, random() < 0.3) as done', [id]))
      return done ? 1 : 0
    })
  const tell = (session: Session) =>
    loop('emit', async () => {
      await emit(session, pick(organizations), pick(KEYS), 1)
      await sleep(randomInt(20))
      return 1
    })
  const end = (session: Session) =>
    loop('end', async () => {
      await session.query(
        `update public.fw_workflow_executions set deadline_at = now() - interval '1 second'
         where id in (select id from public.fw_workflow_executions where deadline_at > now() and status in ('running', 'retry_pending') order by random() limit 2 for no key update skip locked)`)
      return (await check(session, 10)).length
    })
  const lose = (session: Session) =>
    loop('lose', async () => {
      await session.query(
        `with run as (
           update public.fw_worker_runs set lease_expires_at = now() - interval '1 second'
           where id in (select id from public.fw_worker_runs where finished_at is null order by random() limit 2 for no key update skip locked)
           returning id)
         update pgmq.q_workflow_execution_queue q set vt = now() - interval '1 second'
         where q.msg_id in (
           select q.msg_id from pgmq.q_workflow_execution_queue q join public.fw_workflow_executions e on e.msg_id = q.msg_id join run on e.batch_id = run.id
           where e.status = 'running' for update of q skip locked)`)
      await session.query('select public.fw_worker_tick()')
      return 1
    })
  const redrive = (session: Session) =>
    loop('redrive', async () => {
      const [dead] = await session.query<{ msg_id: string }>('select msg_id from pgmq.q_workflow_dlq order by random() limit 1')
      await sleep(randomInt(10))
      if (dead === undefined) return 0
      await session.query(randomInt(4) === 0 ? "select pgmq.delete('workflow_dlq', $1::bigint)" : 'select public.fw_dlq_retry($1)', [dead.msg_id])
      return 1
    })

  const look = (session: Session) =>
    loop('look', async () => {
      const violations = await session.query('select name, violations, detail from public.fw_invariants where violations <> 0')
      if (violations.length > 0) errors.push(`look: ${JSON.stringify(violations)}`)
      return 1
    })

  const deadlocks = async () =>
    Number(one(await database.query<{ deadlocks: string }>('select deadlocks from pg_catalog.pg_stat_database where datname = current_database()')).deadlocks)
  const before = await deadlocks()
  const roles = [work, work, work, cancel, cancel, cancel, tell, end, lose, redrive, look]
  await withSessions(database, roles.length, async (...sessions) => {
    const outcomes = await Promise.allSettled(sessions.map(async (session, at) => roles[at]?.(session)))
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  })
  expect(errors).toEqual([])
  for (const what of ['work', 'cancel', 'emit', 'end', 'lose', 'redrive', 'look']) expect([what, (counts.get(what) ?? 0) > 5]).toEqual([what, true])
  expect(await deadlocks()).toBe(before)
  await database.query('select public.fw_match_events()')
  await expectInvariantsZero(database.pool)
  if (process.env['FW_STORM_SECONDS'] !== undefined) console.log(counts)
}, 60_000 + SECONDS * 1000)
