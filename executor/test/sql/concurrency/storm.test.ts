import { randomInt } from 'node:crypto'
import { expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { checkpoint, claimAsIs, claim, enqueue, executor, expireLeases, extend, type Claimed, organization, release, report, reportFailures, type Session, sqlDatabase, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

const SECONDS = 5

/** Refusals that are answers: the lease is lost, the dead letter is gone, the execution is live, a lock was held for too long. */
const ANSWERS = new Set(['FW001', 'FW003', 'FW004', 'FW005', '55P03'])

interface World {
  name: string
  organizations: string[]
  /** Executions that a report was accepted as done for, in order. */
  completed: string[]
  counts: Map<string, number>
  errors: string[]
}

const pick = <T>(from: readonly T[]): T | undefined => (from.length === 0 ? undefined : from[randomInt(from.length)])

/** One session that behaves as an executor and an administrator by turns. */
async function participant(session: Session, world: World, until: number): Promise<void> {
  const x = await executor(session, world.name, { max_attempts: 3, backoff_initial_ms: 5, backoff_max_ms: 50 })
  let held: Claimed[] = []
  const some = () => held.filter(() => randomInt(2) === 0)
  const letter = async () => (await session.query<{ msg_id: string }>('select msg_id from pgmq.q_workflow_dlq order by random() limit 1'))[0]?.msg_id
  const anyOrganization = () => pick(world.organizations) ?? ''

  const actions: Record<string, () => Promise<unknown>> = {
    enqueue: () => enqueue(session, world.name, anyOrganization(), 1 + randomInt(5)),
    'enqueue with keys': () =>
      session.query("select public.fw_enqueue($1, '{}', $2, $3)", [world.name, anyOrganization(), `key-${randomInt(50)}`]),
    claim: async () => {
      held.push(...(await claimAsIs(session, x, 1 + randomInt(8))))
    },
    'claim again': async () => {
      held.push(...(await claim(session, x, 1 + randomInt(8), [anyOrganization()])))
    },
    offer: async () => {
      for (const { id } of await session.query<{ id: string }>('select id from public.fw_offer_batches(10) as id')) {
        if (randomInt(3) > 0) held.push(...(await session.query<Claimed>('select * from public.fw_take_batch($1, $2)', [x, id])))
      }
    },
    report: async () => {
      // An execution that was lost and claimed again is held twice; refusals name the execution, so one of the two at a time.
      const mine = some().filter((row, at, all) => all.findIndex((other) => other.execution_id === row.execution_id) === at)
      const done = mine.map((row) => ({ ...row, done: randomInt(4) > 0, completed: [{ name: `step-${randomInt(3)}`, index: 0, output: 1 }] }))
      const refused = new Set(await report(session, x, done))
      for (const row of done) if (row.done && !refused.has(row.execution_id)) world.completed.push(row.execution_id)
      held = held.filter((row) => !done.some((other) => other.done && other.batch_id === row.batch_id && other.execution_id === row.execution_id))
    },
    fail: async () => {
      const mine = some()
      await reportFailures(session, x, mine.map((row) => ({ ...row, permanent: randomInt(4) === 0 })))
      held = held.filter((row) => !mine.includes(row))
    },
    release: async () => {
      const mine = some()
      await release(session, x, mine)
      held = held.filter((row) => !mine.includes(row))
    },
    extend: () => extend(session, x, held),
    checkpoint: async () => {
      const row = pick(held)
      if (row !== undefined) await checkpoint(session, x, row, { name: `exact-${randomInt(1_000_000)}`, index: 9, output: 1 })
    },
    retry: async () => session.query('select public.fw_dlq_retry($1)', [(await letter()) ?? '0']),
    'put back by hand': async () => {
      const id = await letter()
      await session.query(
        `with dlq_msg as (select message from pgmq.q_workflow_dlq where msg_id = $1)
         select pgmq.send('workflow_execution_queue', jsonb_set(message, '{attempt}', '1'::jsonb)) from dlq_msg`,
        [id ?? '0'],
      )
      if (randomInt(3) > 0) await session.query("select pgmq.delete('workflow_dlq', $1::bigint)", [id ?? '0'])
    },
    'discard by hand': async () => session.query("select pgmq.delete('workflow_dlq', $1::bigint)", [(await letter()) ?? '0']),
    purge: () => session.query("select public.fw_dlq_purge('0')"),
    'reset by hand': () =>
      session.query('update fw_module_settings set worker_running = false where organization_id = $1 and worker_running', [anyOrganization()]),
    'lose a lease': async () => {
      const [run] = await session.query<{ batch_id: string }>(
        'select id as batch_id from public.fw_worker_runs where finished_at is null order by random() limit 1',
      )
      if (run !== undefined) await expireLeases(session, [{ ...run, execution_id: '' }])
    },
    settings: () =>
      session.query('select public.fw_save_worker_settings($1, $2, $3, p_concurrency => $4)', [
        anyOrganization(),
        randomInt(5) > 0,
        1 + randomInt(5),
        1 + randomInt(3),
      ]),
  }
  const weights: Partial<Record<string, number>> = { claim: 4, 'claim again': 3, report: 4, fail: 3 }
  const wheel = Object.keys(actions).flatMap((name) => Array.from({ length: weights[name] ?? 1 }, () => name))

  while (Date.now() < until) {
    const name = pick(wheel) ?? ''
    try {
      await actions[name]?.()
      world.counts.set(name, (world.counts.get(name) ?? 0) + 1)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : ''
      if (!ANSWERS.has(code)) world.errors.push(`${name}: ${code} ${String(error)}`)
    }
    if (held.length > 60) held = held.slice(-20)
  }
}

test('six sessions doing everything at once: no deadlock, no other error, and every invariant holds at every moment', async () => {
  const name = workflow()
  const organizations = [
    await organization(database, { batchSize: 3, concurrency: 2 }),
    await organization(database, { batchSize: 2, concurrency: 1 }),
    await organization(database, { batchSize: 5, concurrency: 3 }),
  ]
  const world: World = { name, organizations, completed: [], counts: new Map(), errors: [] }
  for (const organizationId of organizations) await enqueue(database, name, organizationId, 30)
  let looks = 0

  await withSessions(database, 6, async (...sessions) => {
    const until = Date.now() + SECONDS * 1000
    const look = async () => {
      while (Date.now() < until) {
        await expectInvariantsZero(database.pool)
        looks++
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
    const outcomes = await Promise.allSettled([look(), ...sessions.map((session) => participant(session, world, until))])
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  })
  expect(world.errors).toEqual([])
  expect(looks).toBeGreaterThan(3)
  // It was a storm: everything happened, and work was done.
  expect([...world.counts.keys()].sort()).toHaveLength(17)
  expect(world.completed.length).toBeGreaterThan(20)
  await expectInvariantsZero(database.pool)

  // Nothing ran to its end twice, and what was accepted as done is done.
  expect(new Set(world.completed).size).toBe(world.completed.length)
  const done = await database.query<{ id: string }>("select id from public.fw_workflow_executions where status = 'completed'")
  expect(done.map((row) => row.id).sort()).toEqual(world.completed.toSorted())

  // Nothing is stuck: with the leases over, what is left can all be brought to its end.
  const open = await database.query<{ batch_id: string }>('select id as batch_id from public.fw_worker_runs where finished_at is null')
  await expireLeases(database, open.map((run) => ({ ...run, execution_id: '' })))
  await database.query('update public.fw_module_settings set fw_execution_worker_enabled = true, fw_worker_batch_size = 50, fw_worker_concurrency = 10')
  await database.query('update pgmq.q_workflow_execution_queue set vt = now()')
  const x = await executor(database, name)
  for (let idle = 0; idle < 3; ) {
    const claimed = await claim(database, x)
    idle = claimed.length === 0 ? idle + 1 : 0
    expect(await report(database, x, claimed)).toEqual([])
  }
  const left = await database.query("select id, status from public.fw_workflow_executions where status not in ('completed', 'failed')")
  expect(left).toEqual([])
  expect(await database.query('select * from pgmq.q_workflow_execution_queue')).toEqual([])
})
