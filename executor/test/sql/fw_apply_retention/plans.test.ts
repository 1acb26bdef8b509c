import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rowsRead, type Watched, watchedSession } from '../../support/plans.js'
import { one, sqlDatabase } from '../../support/sql.js'

const database = sqlDatabase()

let early: Watched

/** This many completed executions of this age, with a step and a batch each. */
const completed = (count: number, age: string) =>
  database.query(
    `with made as (
       insert into public.fw_workflow_executions (id, workflow_name, organization_id, status, input, msg_id, created_at, completed_at)
       select (left(public.fw_uuid_at(now() - $2::interval)::text, 13) || right(public.fw_uuid()::text, 23))::uuid,
         'old', $3, 'completed', '{}', 0, now() - $2::interval, now() - $2::interval
       from generate_series(1, $1)
       returning id
     ), steps as (
       insert into public.fw_execution_steps (execution_id, node_id, organization_id, step_index, attempt_number, status, started_at)
       select id, 'a', $3, 0, 1, 'completed', now() from made
     )
     insert into public.fw_worker_runs (id, organization_id, size, open, succeeded, semaphore_epoch, semaphore_places, lease_seconds, lease_expires_at, claimed_at, finished_at)
     select id, $3, 1, 0, 1, 0, 10, 30, now() - $2::interval, now() - $2::interval, now() - $2::interval from made`,
    [count, age, '00000000-0000-7000-8000-000000000000'],
  )

// This session meets the tables nearly empty, and keeps the plans that it makes then.
beforeAll(async () => {
  early = await watchedSession(database)
  for (let round = 0; round < 6; round++) {
    await completed(1, '31 days')
    await early.on.query('select * from public.fw_apply_retention()')
  }
  await completed(30_000, '1 day')
})

afterAll(() => early.end())

describe.each([
  ['of a session that met the tables empty', 'before they are analysed', () => Promise.resolve(early)],
  ['of a new session', 'after they are analysed', () => watchedSession(database)],
])('retention %s, %s', (_, when, session) => {
  test('looks at what is old, not at the 30,000 that are young', async () => {
    if (when.startsWith('after')) await database.query('analyze')
    await completed(10, '31 days')
    const watched = await session()
    const plans = await watched
      .plansOf(async () => expect(one(await watched.on.query('select executions, batches from public.fw_apply_retention()'))).toEqual({ executions: '10', batches: '10' }))
      .finally(watched === early ? () => undefined : watched.end)
    expect(plans.filter((plan) => /Seq Scan on (fw_workflow_executions|fw_execution_steps|fw_worker_runs)/.test(plan))).toEqual([])
    for (const table of ['fw_workflow_executions', 'fw_execution_steps', 'fw_worker_runs']) {
      expect(rowsRead(plans, table)).toBeGreaterThan(9)
      expect(rowsRead(plans, table)).toBeLessThan(100)
    }
  })
})
