import { afterAll, beforeAll, expect, test } from 'vitest'
import { rowsRead, type Watched, watchedSession } from '../../support/plans.js'
import { claim, enqueue, executor, extend, type Held, organization, release, reportFailures, sqlDatabase, workflow, type Queryable } from '../../support/sql.js'

const database = sqlDatabase()
const name = workflow()

const park = async (on: Queryable, x: string, held: readonly Held[]) => {
  const texts = held.map(() => 'changed')
  await on.query('select * from public.fw_park($1, $2::uuid[], $3::uuid[], $4::text[], $4::text[], $4::text[])', [
    x, held.map((each) => each.execution_id), held.map((each) => each.batch_id), texts])
}

/** What an executor says of a claim of ten that does not report results. */
async function round(on: Queryable, x: string): Promise<void> {
  const held = await claim(on, x, 10)
  expect(held).toHaveLength(10)
  expect(await extend(on, x, held)).toEqual([])
  await release(on, x, held.slice(0, 3))
  await reportFailures(on, x, held.slice(3, 6).map((each) => ({ ...each, delayMs: 3_600_000 })))
  await park(on, x, held.slice(6))
}

let early: Watched

// This session plans while there are few executions, and keeps its plans.
beforeAll(async () => {
  early = await watchedSession(database)
  const organizationId = await organization(database, { batchSize: 50, concurrency: 100 })
  const x = await executor(early.on, name)
  await enqueue(early.on, name, organizationId, 100)
  await database.query('vacuum analyze')
  for (let at = 0; at < 7; at++) await round(early.on, x)
  await enqueue(database, name, organizationId, 20_000)
})

afterAll(() => early.end())

test('leases are extended, and executions are handed back, fail and are parked, without a walk over all others, whatever there was when the session planned', async () => {
  const x = await executor(early.on, name)
  const plans = await early.plansOf(() => round(early.on, x))
  for (const table of ['q_workflow_execution_queue', 'fw_workflow_executions', 'fw_worker_runs']) {
    expect(rowsRead(plans, table), table).toBeGreaterThan(2)
    expect(rowsRead(plans, table), table).toBeLessThan(1000)
  }
})
