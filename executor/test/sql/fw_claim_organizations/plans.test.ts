import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rowsRead, type Watched, watchedSession } from '../../support/plans.js'
import { claim, claimAsIs, enqueue, executor, organization, report, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()
const name = workflow()

const TABLES = ['q_workflow_execution_queue', 'fw_workflow_executions', 'fw_execution_steps', 'fw_worker_runs']

/** An index that is read from end to end has the right name too: what counts is how many rows were read for so many executions. */
function expectFewRows(all: readonly string[], executions: number): void {
  for (const table of TABLES) expect(rowsRead(all, table), table).toBeLessThan(10 * executions)
}

const touching = (all: readonly string[], table: string) => all.filter((plan) => plan.includes(` on ${table}`))

async function expectClaimIndex({ on, plansOf }: Watched): Promise<void> {
  const x = await executor(on, name)
  const all = await plansOf(async () => {
    expect(await claim(on, x, 100)).toHaveLength(100)
    expect(await claimAsIs(on, x, 100)).toHaveLength(100)
  })
  expectFewRows(all, 200)
  const picks = touching(all, 'q_workflow_execution_queue').filter((plan) => plan.includes('LockRows'))
  expect(picks.length).toBeGreaterThan(0)
  expect(picks.filter((plan) => !plan.includes('Index Scan using fw_queue_organization_vt_idx'))).toEqual([])
  expect(all.filter((plan) => /Seq Scan on (q_workflow|fw_workflow_executions|fw_worker_runs|fw_module_settings)/.test(plan))).toEqual([])
}

async function expectPrimaryKeys({ on, plansOf }: Watched): Promise<void> {
  const x = await executor(on, name)
  const held = await claim(on, x, 200)
  const results = held.map((each) => ({ ...each, output: 1, completed: [{ name: 'a', index: 0, output: 1 }] }))
  const all = await plansOf(async () => expect(await report(on, x, results)).toEqual([]))
  expect(touching(all, 'fw_workflow_executions').length).toBeGreaterThan(0)
  expectFewRows(all, 200)
  expect(all.filter((plan) => /Seq Scan on (q_workflow|fw_)/.test(plan))).toEqual([])
  expect(all.filter((plan) => /Hash Join|Merge Join/.test(plan))).toEqual([])
  expect(touching(all, 'q_workflow_execution_queue').every((plan) => plan.includes('q_workflow_execution_queue_pkey'))).toBe(true)
}

let early: Watched

// This session meets the tables empty, and keeps the plans that it makes then: they have to be right later too.
beforeAll(async () => {
  early = await watchedSession(database)
  const large = await organization(database, { batchSize: 50, concurrency: 100 })
  const x = await executor(early.on, name)
  await enqueue(early.on, name, large)
  await enqueue(early.on, name, large, 20)
  await early.on.query('analyze')
  await report(early.on, x, await claim(early.on, x, 5))
  await early.on.query('analyze')
  await report(early.on, x, await claim(early.on, x, 5))
  await enqueue(database, name, large, 50_000)
})

afterAll(() => early.end())

describe.each([
  ['with 50,000 messages of one organization', () => Promise.resolve()],
  ['with 10,000 messages of 2,000 more', async () => {
    await database.query(
      `with small as materialized (
         select (public.fw_save_worker_settings(gen_random_uuid(), each > 0)).organization_id as id from generate_series(1, 2000) as each
       )
       select count(*) from small cross join lateral public.fw_enqueue_many($1, array_fill('{}'::jsonb, array[5]), small.id)`,
      [name],
    )
    await database.query('analyze')
  }],
])('%s', (_, grow) => {
  beforeAll(grow)

  test('a claim finds its messages by the claim index, and nothing reads a table from end to end', async () => {
    await expectClaimIndex(early)
    const late = await watchedSession(database)
    await expectClaimIndex(late).finally(late.end)
  })

  test('a report reaches every row by a primary key', async () => {
    await expectPrimaryKeys(early)
    const late = await watchedSession(database)
    await expectPrimaryKeys(late).finally(late.end)
  })
})
