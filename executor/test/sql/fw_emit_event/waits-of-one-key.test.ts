import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { claim, claimOne, enqueue, executor, makeVisible, one, organization, sqlDatabase, untilBlocked, withSessions, workflow } from '../../support/sql.js'
import { emit, waitFor } from './scene.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

async function scene(count = 1) {
  const name = workflow()
  const organizationId = await organization(database, { batchSize: 50, concurrency: 10 })
  const x = await executor(database, name)
  const ids = await enqueue(database, name, organizationId, count)
  return { organizationId, x, ids }
}

const outputs = async (x: string) =>
  Object.fromEntries(((await claimOne(database, x)).steps ?? []).map(({ name, output }) => [name, output]))

describe('several waits of one execution for one key', () => {
  test('receive an event each, in the order in which they began', async () => {
    const { organizationId, x } = await scene()
    await waitFor(database, x, await claimOne(database, x), ['k', 'k', 'k'])
    await emit(database, organizationId, 'k', 'a')
    const held = await claimOne(database, x)
    expect(held.steps).toMatchObject([{ name: 'wait 0', output: 'a' }])
    await waitFor(database, x, held, ['k', 'k'], null, 1)
    await emit(database, organizationId, 'k', 'b')
    await emit(database, organizationId, 'k', 'c')
    expect(await outputs(x)).toEqual({ 'wait 0': 'a', 'wait 1': 'b', 'wait 2': 'c' })
  })

  test('receive the events that came before, in the order of the events', async () => {
    const { organizationId, x } = await scene()
    for (const payload of ['a', 'b']) {
      await emit(database, organizationId, 'k', payload)
      // Ids of one millisecond have no order before Postgres 18.
      await database.query('select pg_sleep(0.002)')
    }
    expect(await waitFor(database, x, await claimOne(database, x), ['k', 'k', 'k'])).toBe('0')
    expect(await outputs(x)).toEqual({ 'wait 0': 'a', 'wait 1': 'b' })
  })

  test('of which one began in an earlier run: that one is first, whatever its place in the handler', async () => {
    const { organizationId, x, ids } = await scene()
    await waitFor(database, x, await claimOne(database, x), ['k'], null, 5)
    await makeVisible(database, ids)
    await waitFor(database, x, await claimOne(database, x), ['k'], null, 0)
    await emit(database, organizationId, 'k', 'a')
    expect(await outputs(x)).toEqual({ 'wait 5': 'a' })
  })

  test('of which the first is past its time: the next one receives the event', async () => {
    const { organizationId, x, ids } = await scene()
    await waitFor(database, x, await claimOne(database, x), ['k'], 1)
    await makeVisible(database, ids)
    await database.query('select pg_sleep(0.02)')
    // The claim ends the first wait, and then one more begins.
    await waitFor(database, x, await claimOne(database, x), ['k'], null, 1)
    await emit(database, organizationId, 'k', 'a')
    expect((await claimOne(database, x)).steps).toMatchObject([{ name: 'wait 0', timed_out: true }, { name: 'wait 1', output: 'a' }])
  })

  test('and events that come at the same moment: each wait receives another one', async () => {
    const { organizationId, x } = await scene()
    await waitFor(database, x, await claimOne(database, x), ['k', 'k'])
    await withSessions(database, 2, async (first, second) => {
      await first.query('begin')
      await emit(first, organizationId, 'k', 'a')
      await first.query('set constraints all immediate')
      const emitted = emit(second, organizationId, 'k', 'b')
      await untilBlocked(database, second)
      await first.query('commit')
      await emitted
    })
    expect(await outputs(x)).toEqual({ 'wait 0': 'a', 'wait 1': 'b' })
  })
})

test('each of several executions that wait for a key twice receives every event once', async () => {
  const { organizationId, x } = await scene(3)
  for (const held of await claim(database, x)) await waitFor(database, x, held, ['k', 'k'])
  await emit(database, organizationId, 'k', 'a')
  await emit(database, organizationId, 'k', 'b')
  const woken = await claim(database, x)
  expect(woken).toHaveLength(3)
  for (const { steps } of woken) expect(steps).toMatchObject([{ name: 'wait 0', output: 'a' }, { name: 'wait 1', output: 'b' }])
})

test('an event whose transaction began before that of one which was received is not missed when it commits later', async () => {
  const { organizationId, x } = await scene()
  await withSessions(database, 1, async (late) => {
    await late.query('begin')
    await emit(late, organizationId, 'k', 'late')
    await emit(database, organizationId, 'k', 'early')
    const first = await claimOne(database, x)
    expect(await waitFor(database, x, first, ['k'])).toBe('0')
    const second = await claimOne(database, x)
    expect(second.steps).toMatchObject([{ output: 'early' }])
    await late.query('commit')
    expect(await waitFor(database, x, second, ['k'], null, 1)).toBe('0')
  })
  expect(await outputs(x)).toEqual({ 'wait 0': 'early', 'wait 1': 'late' })
})

test('events of one key that one transaction emits are received in its order, one for each wait', async () => {
  const { organizationId, x, ids } = await scene()
  await waitFor(database, x, await claimOne(database, x), ['k'])
  await withSessions(database, 1, async (emitter) => {
    await emitter.query('begin')
    for (const payload of [1, 2]) await emit(emitter, organizationId, 'k', payload)
    await emitter.query('commit')
  })
  const held = await claimOne(database, x)
  expect(held.steps).toMatchObject([{ output: 1 }])
  await waitFor(database, x, held, ['k'], null, 1)
  expect(await outputs(x)).toEqual({ 'wait 0': 1, 'wait 1': 2 })
  expect(one(ids)).toBe(held.execution_id)
})
