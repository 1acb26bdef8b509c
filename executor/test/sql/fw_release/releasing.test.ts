import { describe, expect, test } from 'vitest'
import { claim, claimOne, contents, enqueue, execution, executor, expireLeases, makeVisible, one, organization, release, report, reportFailures, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function scene(settings = {}, count = 1) {
  const name = workflow()
  const organizationId = await organization(database, settings)
  const [x, y] = [await executor(database, name), await executor(database, name)]
  const ids = await enqueue(database, name, organizationId, count)
  return { name, organizationId, x, y, ids, id: ids[0] ?? '' }
}

describe('work that is handed back', () => {
  test('is visible at once, keeps its steps and costs no attempt', async () => {
    const { organizationId, x, y, id } = await scene()
    const held = await claimOne(database, x)
    await report(database, x, [{ ...held, done: false, completed: [{ name: 'a', index: 0, output: 1 }] }])
    expect(await release(database, x, [held])).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0, next_retry_at: null, last_error: null })
    expect(one(await database.query('select * from public.fw_worker_runs where id = $1', [held.batch_id]))).toMatchObject({
      open: 0,
      released: 1,
      failed: 0,
      lost: 0,
      finished_at: expect.any(Date) as unknown,
    })
    expect(one(await database.query('select worker_running from public.fw_module_settings where organization_id = $1', [organizationId]))).toEqual({
      worker_running: false,
    })
    expect(await claimOne(database, y)).toMatchObject({ execution_id: id, attempt: 1, steps: [{ name: 'a', output: 1 }] })
  })

  test('can be handed back any number of times', async () => {
    const { x, id } = await scene()
    for (let time = 0; time < 8; time++) {
      const held = await claimOne(database, x)
      expect(held).toMatchObject({ execution_id: id, attempt: 1 })
      await release(database, x, [held])
    }
  })

  test('of a later attempt stays that attempt', async () => {
    const { x, id } = await scene()
    await reportFailures(database, x, [{ ...(await claimOne(database, x)), error: 'before', delayMs: 0 }])
    await makeVisible(database, [id])
    const second = await claimOne(database, x)
    await release(database, x, [second])
    expect(await execution(database, id)).toMatchObject({ status: 'retry_pending', retry_count: 1, last_error: 'before' })
    expect(await claimOne(database, x)).toMatchObject({ attempt: 2 })
  })

  test('in part leaves the rest of the batch running', async () => {
    const { x, y } = await scene({ batchSize: 3 }, 3)
    const held = await claim(database, x)
    expect(await release(database, x, held.slice(0, 1))).toEqual([])
    expect(one(await database.query('select size, open, released from public.fw_worker_runs where id = $1', [held[0]?.batch_id]))).toEqual({
      size: 3,
      open: 2,
      released: 1,
    })
    expect((await claim(database, y)).map((row) => row.execution_id)).toEqual([held[0]?.execution_id])
    expect(await report(database, x, held.slice(1))).toEqual([])
  })

  test('is refused, and nothing changes, when it is no longer held', async () => {
    const { x, y, id } = await scene()
    const held = await claimOne(database, x)
    const running = await contents(database)
    expect(await release(database, y, [held])).toEqual([id])
    expect(await contents(database)).toEqual(running)
    await expireLeases(database, [held])
    const expired = await contents(database)
    expect(await release(database, x, [held])).toEqual([id])
    expect(await contents(database)).toEqual(expired)
  })

  test('twice is refused the second time', async () => {
    const { x, id } = await scene()
    const held = await claimOne(database, x)
    await release(database, x, [held])
    const before = await contents(database)
    expect(await release(database, x, [held])).toEqual([id])
    expect(await contents(database)).toEqual(before)
  })

  test.each([
    ['the whole batch', 1],
    ['one execution of a batch whose others go on', 3],
  ])('wakes an executor that has room: %s', async (_, count) => {
    const { organizationId, x, y } = await scene({ batchSize: count }, count)
    const all = await claim(database, x)
    expect(all).toHaveLength(count)
    await claim(database, y)
    const heard: unknown[] = []
    const listener = await database.pool.connect()
    try {
      listener.on('notification', ({ payload }) => heard.push(payload))
      await listener.query('listen fw_work')
      await release(database, x, all.slice(0, 1))
      await listener.query('select')
      expect(heard).toEqual([`"${organizationId}"`])
    } finally {
      listener.removeAllListeners('notification')
      listener.release(true)
    }
  })
})
