import { describe, expect, test } from 'vitest'
import { checkpoint, claim, claimOne, contents, enqueue, execution, executor, expireLeases, extend, one, organization, release, report, reportFailures, sqlDatabase, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function scene(settings = {}, count = 1) {
  const name = workflow()
  const organizationId = await organization(database, settings)
  const [x, y] = [await executor(database, name), await executor(database, name)]
  const ids = await enqueue(database, name, organizationId, count)
  return { name, organizationId, x, y, ids, id: ids[0] ?? '' }
}

/** The runbook's statement. */
const reset = (organizationId: string) =>
  database.query('UPDATE fw_module_settings SET worker_running = false WHERE organization_id = $1 AND worker_running', [organizationId])

const settings = async (organizationId: string) =>
  one(
    await database.query<{ worker_running: boolean; worker_semaphore_epoch: string }>(
      'select worker_running, worker_semaphore_epoch from public.fw_module_settings where organization_id = $1',
      [organizationId],
    ),
  )

describe('a reset of the semaphore by hand', () => {
  test('frees the places at once', async () => {
    const { organizationId, x, y, ids } = await scene({ batchSize: 2 }, 4)
    const held = await claim(database, x)
    expect(held).toHaveLength(2)
    expect(await claim(database, y)).toEqual([])
    await reset(organizationId)
    expect(await settings(organizationId)).toEqual({ worker_running: false, worker_semaphore_epoch: '1' })
    const next = await claim(database, y)
    expect(next).toHaveLength(2)
    expect(new Set([...held, ...next].map((row) => row.execution_id))).toEqual(new Set(ids))
    expect(await settings(organizationId)).toEqual({ worker_running: true, worker_semaphore_epoch: '1' })
  })

  test('fences the run that held the semaphore: none of its writes changes anything', async () => {
    const { organizationId, x, id } = await scene()
    const held = await claimOne(database, x)
    await reset(organizationId)
    const before = await contents(database)
    expect(await report(database, x, [{ ...held, output: 'late', completed: [{ name: 'a', index: 0, output: 1 }] }])).toEqual([id])
    expect(await reportFailures(database, x, [{ ...held, permanent: true }])).toEqual({ [id]: 'fenced' })
    expect(await release(database, x, [held])).toEqual([id])
    expect(await extend(database, x, [held])).toEqual([held.batch_id])
    await expect(checkpoint(database, x, held, { name: 'a', index: 0, output: 1 })).rejects.toMatchObject({ code: 'FW001' })
    expect(await contents(database)).toEqual(before)
  })

  test('costs the fenced execution one attempt when its visibility timeout ends', async () => {
    const { organizationId, x, y, id } = await scene()
    const held = await claimOne(database, x)
    await reset(organizationId)
    expect(await claim(database, y)).toEqual([])
    await expireLeases(database, [held])
    expect(await claimOne(database, y)).toMatchObject({ execution_id: id, attempt: 2 })
    expect(one(await database.query('select * from public.fw_worker_runs where id = $1', [held.batch_id]))).toMatchObject({ open: 0, lost: 1 })
  })

  test('leaves the runs that come after it alone when the old one ends', async () => {
    const { organizationId, x, y } = await scene({ batchSize: 1 }, 2)
    const old = await claimOne(database, x)
    await reset(organizationId)
    const current = await claimOne(database, y)
    await expireLeases(database, [old])
    // The semaphore is taken by the current run, so the old one waits for it.
    expect(await claim(database, y)).toEqual([])
    expect(await settings(organizationId)).toMatchObject({ worker_running: true })
    expect(await report(database, y, [current])).toEqual([])
    expect(await settings(organizationId)).toMatchObject({ worker_running: false })
    expect(await claimOne(database, y)).toMatchObject({ execution_id: old.execution_id, attempt: 2 })
    expect(await settings(organizationId)).toMatchObject({ worker_running: true })
  })

  test('does nothing where no worker runs', async () => {
    const { organizationId, x } = await scene()
    await reset(organizationId)
    expect(await settings(organizationId)).toEqual({ worker_running: false, worker_semaphore_epoch: '0' })
    const held = await claimOne(database, x)
    expect(await report(database, x, [held])).toEqual([])
  })

  test('does not wait for a report in progress, which still counts if it commits', async () => {
    const { organizationId, x } = await scene({}, 2)
    const held = await claim(database, x)
    await withSessions(database, 2, async (reporter, administrator) => {
      await reporter.query('begin')
      expect(await report(reporter, x, held.slice(0, 1))).toEqual([])
      await administrator.query("set lock_timeout = '1ms'")
      await administrator.query('update fw_module_settings set worker_running = false where organization_id = $1 and worker_running', [organizationId])
      await reporter.query('commit')
    })
    expect(await execution(database, held[0]?.execution_id ?? '')).toMatchObject({ status: 'completed' })
    expect(await report(database, x, held.slice(1))).toHaveLength(1)
  })

  test('leaves other organizations alone', async () => {
    const { organizationId, x } = await scene()
    await claim(database, x)
    const other = await scene()
    const held = await claim(database, other.x)
    await reset(organizationId)
    expect(await report(database, other.x, held)).toEqual([])
  })
})

test("the worker's own updates never fence a run", async () => {
  const { name, organizationId, x, y } = await scene({ batchSize: 2, concurrency: 2 }, 10)
  expect(await report(database, x, await claim(database, x))).toEqual([])
  await reportFailures(database, x, (await claim(database, x)).map((held) => ({ ...held, delayMs: 0 })))
  await release(database, x, await claim(database, x))
  const lost = await claim(database, x)
  await expireLeases(database, lost)
  const kept = await claim(database, y)
  expect(await extend(database, y, kept)).toEqual([])
  expect(await report(database, y, kept)).toEqual([])
  await enqueue(database, name, organizationId)
  expect(await report(database, y, await claim(database, y))).toEqual([])
  expect(await settings(organizationId)).toMatchObject({ worker_running: false })
})
