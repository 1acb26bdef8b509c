import { expect, test } from 'vitest'
import { rowsRead, watchedSession } from '../../support/plans.js'
import { claim, enqueue, executor, makeVisible, organization, sqlDatabase, workflow, type Claimed, type Queryable } from '../../support/sql.js'
import { waitFor } from '../fw_emit_event/scene.js'

const database = sqlDatabase()
const name = workflow()

const MANY = 500

/** One execution, as if something else had woken it. */
async function claimOne(on: Queryable, x: string, id: string): Promise<Claimed> {
  await makeVisible(on, [id])
  const [held] = await claim(on, x, 1)
  if (held?.execution_id !== id) throw new Error('another one was claimed')
  return held
}

async function suspend(on: Queryable, x: string, held: readonly Claimed[]): Promise<void> {
  const nothing = held.map(() => null)
  await on.query(
    'select * from public.fw_suspend($1, $2::uuid[], $3::uuid[], $4::integer[], $5::text[], $6::integer[], $7::bigint[], $8::timestamptz[], $9::text[], $10::text[], $11::jsonb[], $12::text[], $13::integer[])',
    [x, held.map((e) => e.execution_id), held.map((e) => e.batch_id), held.map((_, i) => i + 1), held.map(() => 'event'), held.map(() => 0),
      nothing, nothing, held.map((e) => `event of ${e.execution_id}`), nothing, nothing, nothing, nothing],
  )
}

test('a session that planned fw_suspend while the analysed table was small reads as many steps later', async () => {
  const organizationId = await organization(database, { batchSize: 50, concurrency: 100 })
  const watched = await watchedSession(database)
  const x = await executor(watched.on, name)
  await enqueue(database, name, organizationId, 11)
  await suspend(watched.on, x, await claim(watched.on, x, 1))
  await database.query('vacuum analyze')
  await suspend(watched.on, x, await claim(watched.on, x, 10))
  await enqueue(database, name, organizationId, 20_000)
  for (let made = 0; made < 20_000 - 10; made += 1000) await suspend(database, x, await claim(database, x, Math.min(1000, 19_990 - made)))
  const large = await watched.plansOf(async () => suspend(watched.on, x, await claim(watched.on, x, 10)))
  await watched.end()
  expect(rowsRead(large, 'fw_execution_steps')).toBeLessThan(100)
  expect(rowsRead(large, 'fw_workflow_executions')).toBeLessThan(300)
})

test('the next wait in a long loop reads each event and each step once, not each beside each, however many other events there are', async () => {
  const organizationId = await organization(database, { batchSize: 50, concurrency: 100 })
  const x = await executor(database, name)
  const [id = ''] = await enqueue(database, name, organizationId)
  const watched = await watchedSession(database)
  try {
    // This session plans while there is next to nothing.
    for (let round = 0; round < 6; round++) await waitFor(watched.on, x, await claimOne(database, x, id), ['key'], 60_000, round)
    await database.query(
      `insert into public.fw_events (id, organization_id, key, expires_at)
       select public.fw_uuid(), $1, 'other ' || i, now() + interval '1 day' from generate_series(1, 20000) as i`, [organizationId])
    await database.query(
      `with kept as (
         insert into public.fw_events (id, organization_id, key, payload, expires_at)
         select public.fw_uuid(), $1, 'item', to_jsonb(i), now() + interval '1 day' from generate_series(1, $3) as i returning id
       )
       insert into public.fw_execution_steps (execution_id, node_id, organization_id, step_index, attempt_number, status, event_key, event_id, started_at, completed_at)
       select $2, 'event item#' || row_number() over (), $1, row_number() over () + 10, 1, 'completed', 'item', k.id, now(), now() from kept k`,
      [organizationId, id, MANY])
    const held = await claimOne(database, x, id)
    const plans = await watched.plansOf(() => waitFor(watched.on, x, held, ['item'], 60_000, 10 + MANY))
    expect(rowsRead(plans, 'fw_execution_steps')).toBeGreaterThan(MANY - 1)
    expect(rowsRead(plans, 'fw_execution_steps')).toBeLessThan(3 * MANY)
    expect(rowsRead(plans, 'fw_events')).toBeGreaterThan(MANY - 1)
    expect(rowsRead(plans, 'fw_events')).toBeLessThan(3 * MANY)
  } finally {
    await watched.end()
  }
})
