import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rowsRead, type Watched, watchedSession } from '../../support/plans.js'
import { claim, enqueue, executor, organization, report, sqlDatabase, workflow } from '../../support/sql.js'
import { check, deadlineIn, running } from './scene.js'

const database = sqlDatabase()

let early: Watched

// This session meets the tables nearly empty, and keeps the plans that it makes then: they have to be right later too.
beforeAll(async () => {
  early = await watchedSession(database)
  for (let round = 0; round < 6; round++) {
    const { id } = await running(database, { on_timeout: 'cancel' })
    await deadlineIn(database, id, -1)
    expect(await check(early.on)).toHaveLength(1)
  }
  const name = workflow()
  const large = await organization(database, { batchSize: 50, concurrency: 100 })
  const x = await executor(database, name)
  // Finished ones are many too.
  await enqueue(database, name, large, 5000)
  for (let held = await claim(database, x, 5000); held.length > 0; held = await claim(database, x, 5000)) await report(database, x, held)
  await enqueue(database, workflow(), large, 10_000)
})

afterAll(() => early.end())

describe.each([
  ['that met the tables empty', 'before they are analysed', () => Promise.resolve(early)],
  ['that is new', 'before they are analysed', () => watchedSession(database)],
  ['that met the tables empty', 'after they are analysed', () => Promise.resolve(early)],
  ['that is new', 'after they are analysed', () => watchedSession(database)],
])('in a session %s, %s', (_, when, session) => {
  beforeAll(async () => {
    if (when.startsWith('after')) await database.query('analyze')
  })

  test('the watchdog looks at the executions that have started, not at the 10,000 that wait nor at those that have finished', async () => {
    const late = [await running(database, { on_timeout: 'fail' }), await running(database, { on_timeout: 'cancel' })]
    const near = await running(database)
    for (const { id } of late) await deadlineIn(database, id, -1)
    await deadlineIn(database, near.id, 5)
    const watched = await session()
    const plans = await watched.plansOf(async () => expect(await check(watched.on)).toHaveLength(3)).finally(watched === early ? () => undefined : watched.end)
    const looked = rowsRead(plans, 'fw_workflow_executions')
    expect(looked).toBeGreaterThan(2)
    expect(looked).toBeLessThan(300)
    expect(plans.filter((plan) => /Seq Scan on (fw_workflow_executions|fw_worker_runs|fw_module_settings)/.test(plan))).toEqual([])
    await report(database, near.x, [near.held])
  })
})
