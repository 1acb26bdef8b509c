import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rowsRead, type Watched, watchedSession } from '../../support/plans.js'
import { type Claimed, claim, enqueue, executor, one, organization, report, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()
const name = workflow()
const busy: string[] = []

const SCAN = /Seq Scan on (q_workflow|fw_module_settings|fw_workflow_executions|fw_worker_runs|fw_execution_steps)/

let early: Watched

// This session meets the tables empty, and keeps the plans that it makes then: they have to be right later too.
beforeAll(async () => {
  early = await watchedSession(database)
  const first = await organization(database)
  const x = await executor(database, name)
  for (let round = 0; round < 6; round++) {
    await enqueue(database, name, first)
    await early.on.query('select * from public.fw_worker_tick()')
    const offered = await database.query<{ id: string }>('select id from public.fw_worker_runs where taken_at is null')
    const held = await database.query<Claimed & Record<string, unknown>>('select * from public.fw_take_batch($1, $2)', [x, one(offered).id])
    expect(await report(database, x, held)).toEqual([])
  }
  await database.query('select public.fw_save_worker_settings(gen_random_uuid(), true) from generate_series(1, 10000)')
  for (let i = 0; i < 10; i++) busy.push(await organization(database))
  // Some days of history.
  await database.query(
    `insert into public.fw_worker_runs (id, organization_id, size, open, succeeded, semaphore_epoch, semaphore_places, lease_seconds,
       lease_expires_at, claimed_at, taken_at, finished_at, finished_xid)
     select public.fw_uuid(), $1, 1, 0, 1, 0, 10, 30, now() - interval '1 hour', now() - interval '1 hour', now() - interval '1 hour', now() - interval '1 hour', '3'
     from generate_series(1, 100000)`,
    [first],
  )
  await database.query('analyze')
})

afterAll(() => early.end())

async function ticked({ on, plansOf }: Watched): Promise<string[]> {
  // After each test all are disabled.
  await database.query('update public.fw_module_settings set fw_execution_worker_enabled = true where not fw_execution_worker_enabled')
  const x = await executor(on, name)
  for (const id of busy) await enqueue(on, name, id, 3)
  // What is closed since the last tick is counted by this one.
  await report(on, x, await claim(on, x, 5))
  await database.query('update public.fw_executors set wants_work = true where id = $1', [x])
  const plans = await plansOf(async () => {
    await on.query('select * from public.fw_worker_tick()')
  })
  const offered = await database.query<{ id: string }>('select id from public.fw_worker_runs where taken_at is null and finished_at is null')
  expect(offered.length).toBeGreaterThan(0)
  for (const { id } of offered) {
    await report(on, x, await on.query<Claimed & Record<string, unknown>>('select * from public.fw_take_batch($1, $2)', [x, id]))
  }
  await database.query('update public.fw_executors set stopped_at = now(), wants_work = false where id = $1', [x])
  return plans
}

describe.each([
  ['of a session that met the tables empty', () => Promise.resolve(early)],
  ['of a new session', () => watchedSession(database)],
])('the tick %s', (_, session) => {
  test('with 10,000 enabled organizations visits the 10 that have work, and reads no table from end to end', async () => {
    const watched = await session()
    const plans = await ticked(watched).finally(watched === early ? () => undefined : watched.end)
    expect(plans.join('\n')).toContain('q_workflow_execution_queue')
    expect(plans.filter((plan) => SCAN.test(plan))).toEqual([])
    const visited = rowsRead(plans, 'fw_module_settings')
    expect(visited).toBeGreaterThan(0)
    expect(visited).toBeLessThan(200)
    const batches = rowsRead(plans, 'fw_worker_runs')
    expect(batches).toBeGreaterThan(0)
    expect(batches).toBeLessThan(500)
  })
})
