import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type Claimed, claim, claimOne, contents, enqueue, execution, executor, expireLeases, one, organization, release, report, reportFailures, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function scene(count = 1) {
  const name = workflow()
  const organizationId = await organization(database, { batchSize: 1, concurrency: 50 })
  const [x, y] = [await executor(database, name), await executor(database, name)]
  await enqueue(database, name, organizationId, count)
  return { name, organizationId, x, y }
}

const withSteps = (held: Claimed) => ({ ...held, output: 'mine', completed: [{ name: 'a', index: 0, output: 'mine' }] })

describe('a report is refused, and changes nothing,', () => {
  test('after the lease has run out, even while nobody else has claimed the execution', async () => {
    const { x } = await scene()
    const held = await claimOne(database, x)
    await expireLeases(database, [held])
    const before = await contents(database)
    expect(await report(database, x, [withSteps(held)])).toEqual([held.execution_id])
    expect(await report(database, x, [{ ...withSteps(held), done: false }])).toEqual([held.execution_id])
    expect(await contents(database)).toEqual(before)
  })

  test('after another executor has claimed the execution', async () => {
    const { x, y } = await scene()
    const held = await claimOne(database, x)
    await expireLeases(database, [held])
    await claimOne(database, y)
    const before = await contents(database)
    expect(await report(database, x, [withSteps(held)])).toEqual([held.execution_id])
    expect(await contents(database)).toEqual(before)
  })

  test("from another executor than the batch's own", async () => {
    const { x, y } = await scene()
    const held = await claimOne(database, x)
    const before = await contents(database)
    expect(await report(database, y, [withSteps(held)])).toEqual([held.execution_id])
    expect(await contents(database)).toEqual(before)
    expect(await report(database, x, [withSteps(held)])).toEqual([])
  })

  test('with a batch that the execution is not in, or that is not there', async () => {
    const { x } = await scene(2)
    const [a, b] = await claim(database, x)
    if (a === undefined || b === undefined) throw new Error('two executions were expected')
    const before = await contents(database)
    for (const batch_id of [b.batch_id, randomUUID()]) {
      expect(await report(database, x, [withSteps({ ...a, batch_id })])).toEqual([a.execution_id])
    }
    expect(await report(database, x, [withSteps({ ...a, execution_id: randomUUID() })])).toHaveLength(1)
    expect(await contents(database)).toEqual(before)
  })

  test('the second time: what is completed stays as it was reported first', async () => {
    const { x } = await scene()
    const held = await claimOne(database, x)
    await report(database, x, [withSteps(held)])
    const before = await contents(database)
    const again = { ...held, output: 'other', completed: [{ name: 'a', index: 0, output: 'other' }, { name: 'b', index: 1, output: 'other' }] }
    expect(await report(database, x, [again])).toEqual([held.execution_id])
    expect(await contents(database)).toEqual(before)
  })

  test('after the attempt was reported as failed', async () => {
    const { x } = await scene()
    const held = await claimOne(database, x)
    await reportFailures(database, x, [{ ...held, delayMs: 3_600_000 }])
    const before = await contents(database)
    expect(await report(database, x, [withSteps(held)])).toEqual([held.execution_id])
    expect(await contents(database)).toEqual(before)
  })
})

describe('in a batch that is still open', () => {
  async function openBatch() {
    const name = workflow()
    const x = await executor(database, name)
    await enqueue(database, name, await organization(database, { batchSize: 4, concurrency: 2 }), 5)
    const held = await claim(database, x)
    const other = held.find((row) => held.filter((each) => each.batch_id === row.batch_id).length === 1)
    const [completed, failed, released] = held.filter((row) => row.batch_id !== other?.batch_id)
    if (completed === undefined || failed === undefined || released === undefined || other === undefined) throw new Error('two batches were expected')
    await report(database, x, [{ ...completed, output: 'first' }])
    await reportFailures(database, x, [{ ...failed, delayMs: 3_600_000 }])
    await release(database, x, [released])
    return { x, refused: [completed, failed, released, { ...other, batch_id: completed.batch_id }] }
  }

  test('what has ended, and what is in another batch, can be neither reported nor failed nor released', async () => {
    const { x, refused } = await openBatch()
    const ids = refused.map((row) => row.execution_id)
    const before = await contents(database)
    expect((await report(database, x, refused.map(withSteps))).sort()).toEqual(ids.toSorted())
    const outcome = await reportFailures(database, x, refused.map((row) => ({ ...row, permanent: true })))
    expect(outcome).toEqual(Object.fromEntries(ids.map((id) => [id, 'fenced'])))
    expect((await release(database, x, refused)).sort()).toEqual(ids.toSorted())
    expect(await contents(database)).toEqual(before)
  })
})

test('a report with fenced and good executions writes the good ones and returns the fenced ones', async () => {
  const { x, y } = await scene(6)
  const held = await claim(database, x)
  const lost = held.filter((_, at) => at % 2 === 0)
  const good = held.filter((_, at) => at % 2 === 1)
  await expireLeases(database, lost)
  const refused = await report(database, x, held.map(withSteps))
  expect(refused.sort()).toEqual(lost.map((row) => row.execution_id).sort())
  for (const { execution_id } of good) {
    expect(await execution(database, execution_id)).toMatchObject({ status: 'completed', output: 'mine' })
  }
  const stepped = await database.query<{ execution_id: string }>('select execution_id from public.fw_execution_steps where execution_id = any ($1::uuid[])', [
    held.map((row) => row.execution_id),
  ])
  expect(stepped.map((row) => row.execution_id).sort()).toEqual(good.map((row) => row.execution_id).sort())
  const retried = await claim(database, y)
  expect(retried.map((row) => row.execution_id).sort()).toEqual(lost.map((row) => row.execution_id).sort())
  expect(one([...new Set(retried.map((row) => row.attempt))])).toBe(2)
})
