// The runbook's resets of a stuck semaphore, statement by statement, and that none of them is ever needed.
import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { type Claimed, claim, contents, enqueue, executor, expireLeases, one, organization, report, reportFailures, release, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

async function stuck(count = 4) {
  const name = workflow()
  const organizationId = await organization(database, { batchSize: 2 })
  const [x, y] = [await executor(database, name), await executor(database, name)]
  await enqueue(database, name, organizationId, count)
  const held = await claim(database, x)
  expect(held).toHaveLength(2)
  // The semaphore is taken.
  expect(await claim(database, y)).toEqual([])
  return { organizationId, x, y, held }
}

type Stuck = Awaited<ReturnType<typeof stuck>>

const isRunning = async (organizationId: string) =>
  one(await database.query<{ worker_running: boolean }>('select worker_running from public.fw_module_settings where organization_id = $1', [organizationId])).worker_running

/** The last batch was claimed this long ago; its executor still extends its lease. */
const lastRun = (organizationId: string, age: string) =>
  database.query('update public.fw_module_settings set worker_last_run_at = now() - $2::interval where organization_id = $1', [organizationId, age])

async function expectFreed({ organizationId, x, y, held }: Stuck): Promise<Claimed[]> {
  expect(await isRunning(organizationId)).toBe(false)
  const next = await claim(database, y)
  expect(next).toHaveLength(2)
  expect(next.map((row) => row.execution_id)).not.toEqual(expect.arrayContaining(held.map((row) => row.execution_id)))
  expect(await isRunning(organizationId)).toBe(true)
  // The run that the semaphore was taken from is fenced.
  const before = await contents(database)
  const ids = held.map((row) => row.execution_id)
  expect((await report(database, x, held)).sort()).toEqual(ids.toSorted())
  expect(await reportFailures(database, x, held)).toEqual(Object.fromEntries(ids.map((id) => [id, 'fenced'])))
  expect((await release(database, x, held)).sort()).toEqual(ids.toSorted())
  expect(await contents(database)).toEqual(before)
  return next
}

describe('a reset by hand', () => {
  test('of one organization frees its slot at once and fences the run that held it', async () => {
    const one_ = await stuck()
    const other = await stuck()
    await database.query('UPDATE fw_module_settings SET worker_running = false WHERE organization_id = $1 AND worker_running', [one_.organizationId])
    const next = await expectFreed(one_)
    expect(await report(database, one_.y, next)).toEqual([])
    expect(await isRunning(other.organizationId)).toBe(true)
    expect(await report(database, other.x, other.held)).toEqual([])
  })

  test('of all stale ones frees these and leaves the others alone', async () => {
    const [stale, alsoStale, fresh] = [await stuck(), await stuck(), await stuck()]
    await lastRun(stale.organizationId, '5 minutes 1 second')
    await lastRun(alsoStale.organizationId, '2 hours')
    await lastRun(fresh.organizationId, '4 minutes')
    const rows = await database.query<{ organization_id: string }>(
      `UPDATE fw_module_settings SET worker_running = false
       WHERE worker_running AND worker_last_run_at < now() - interval '5 minutes' RETURNING organization_id`,
    )
    expect(rows.map((row) => row.organization_id).sort()).toEqual([stale, alsoStale].map((each) => each.organizationId).sort())
    await expectFreed(stale)
    await expectFreed(alsoStale)
    expect(await isRunning(fresh.organizationId)).toBe(true)
    expect(await claim(database, fresh.y)).toEqual([])
    expect(await report(database, fresh.x, fresh.held)).toEqual([])
  })

  test('loses no work: what the fenced run had is run again after its visibility timeout', async () => {
    const scene = await stuck(2)
    await database.query('UPDATE fw_module_settings SET worker_running = false WHERE organization_id = $1 AND worker_running', [scene.organizationId])
    expect(await claim(database, scene.y)).toEqual([])
    await expireLeases(database, scene.held)
    await database.query('select * from public.fw_worker_tick()')
    const offered = await database.query<{ id: string }>('select id from public.fw_worker_runs where taken_at is null and finished_at is null')
    const again = [...(await claim(database, scene.y))]
    for (const { id } of offered) again.push(...(await database.query<Claimed & Record<string, unknown>>('select * from public.fw_take_batch($1, $2)', [scene.y, id])))
    expect(again.map((row) => [row.execution_id, row.attempt]).sort()).toEqual(scene.held.map((row) => [row.execution_id, 2]).sort())
    expect(await report(database, scene.y, again)).toEqual([])
  })
})

describe('without any reset, the semaphore of a crashed worker', () => {
  test('is free again after its lease: the next claim has its places', async () => {
    const { organizationId, y, held } = await stuck(2)
    await expireLeases(database, held)
    expect((await claim(database, y)).map((row) => [row.execution_id, row.attempt]).sort()).toEqual(held.map((row) => [row.execution_id, 2]).sort())
    expect(await isRunning(organizationId)).toBe(true)
  })

  test('is free again after its lease: the next tick frees it, though nobody claims', async () => {
    const { organizationId, x, y, held } = await stuck(2)
    await database.query('select public.fw_stop_executor(id) from unnest($1::uuid[]) as id', [[x, y]])
    await database.query('select * from public.fw_worker_tick()')
    expect(await isRunning(organizationId)).toBe(true)
    await expireLeases(database, held)
    await database.query('select * from public.fw_worker_tick()')
    expect(await isRunning(organizationId)).toBe(false)
  })
})
