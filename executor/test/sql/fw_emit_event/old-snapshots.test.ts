import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { listening } from '../../support/listening.js'
import { claim, claimOne, enqueue, executor, one, organization, type Queryable, sqlDatabase, untilBlocked, withSessions, workflow } from '../../support/sql.js'
import { emit, waitFor } from './scene.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

async function scene() {
  const name = workflow()
  const organizationId = await organization(database, { batchSize: 50, concurrency: 10 })
  const x = await executor(database, name)
  return { name, organizationId, x, id: one(await enqueue(database, name, organizationId)) }
}

/** Takes the snapshot of a transaction. */
const begin = async (on: Queryable, level: string) => {
  await on.query(`begin isolation level ${level}`)
  await on.query('select count(*) from public.fw_events')
}
const match = async (on: Queryable) => one(await on.query<{ matched: string }>('select public.fw_match_events() as matched')).matched
const received = async (x: string) => (await claimOne(database, x)).steps

describe.each(['repeatable read', 'serializable'])('an event that is emitted in a %s transaction', (level) => {
  test('whose snapshot is older than the wait is received after another look, which executors are asked for', async () => {
    const { organizationId, x } = await scene()
    const held = await claimOne(database, x)
    await withSessions(database, 1, async (emitter) => {
      await begin(emitter, level)
      await waitFor(database, x, held, ['k'])
      await listening(database, ['fw_batch'], async ({ heard }) => {
        await emit(emitter, organizationId, 'k', 1)
        await emitter.query('commit')
        expect(await heard('fw_batch')).toEqual(['{"match_events": true}'])
      })
    })
    await expectInvariantsZero(database.pool)
    expect(await match(database)).toBe('1')
    expect(await received(x)).toMatchObject([{ name: 'wait 0', output: 1 }])
    expect(await match(database)).toBe('0')
  })

  test('is received with the next tick when no executor hears of it', async () => {
    const { organizationId, x } = await scene()
    const held = await claimOne(database, x)
    await withSessions(database, 1, async (emitter) => {
      await begin(emitter, level)
      await waitFor(database, x, held, ['k'])
      await emit(emitter, organizationId, 'k', 2)
      await emitter.query('commit')
    })
    await database.query('update public.fw_executors set wants_work = false')
    await database.query('select public.fw_worker_tick()')
    expect(await received(x)).toMatchObject([{ output: 2 }])
  })

  test('never fails because somebody else has changed a wait meanwhile', async () => {
    const { organizationId, x } = await scene()
    await waitFor(database, x, await claimOne(database, x), ['k'])
    await withSessions(database, 1, async (emitter) => {
      await begin(emitter, level)
      await emit(database, organizationId, 'k', 'first')
      await emit(emitter, organizationId, 'k', 'second')
      await emitter.query('commit')
    })
    expect(await received(x)).toMatchObject([{ output: 'first' }])
    expect(await match(database)).toBe('0')
  })

  test('is not lost when a later one comes before the other look', async () => {
    const { organizationId, x } = await scene()
    await withSessions(database, 1, async (emitter) => {
      const held = await claimOne(database, x)
      await begin(emitter, level)
      await waitFor(database, x, held, ['k', 'k'])
      await emit(emitter, organizationId, 'k', 'old snapshot')
      await emitter.query('commit')
    })
    await emit(database, organizationId, 'k', 'new snapshot')
    expect(await match(database)).toBe('1')
    const outputs = (await received(x))?.map(({ output }) => output)
    expect(outputs?.toSorted()).toEqual(['new snapshot', 'old snapshot'])
  })

  test('waits for a wait that begins while the other look is taken', async () => {
    const { organizationId, x } = await scene()
    const held = await claimOne(database, x)
    await withSessions(database, 2, async (waiter, looking) => {
      await waiter.query('begin')
      await waitFor(waiter, x, held, ['k'])
      await looking.query(`begin isolation level ${level}`)
      await emit(looking, organizationId, 'k', 1)
      await looking.query('commit')
      const matched = match(looking)
      await untilBlocked(database, looking)
      await waiter.query('commit')
      expect(await matched).toBe('1')
    })
    expect(await received(x)).toMatchObject([{ output: 1 }])
  })
})

describe('a wait that begins in a repeatable read transaction', () => {
  test('whose snapshot is older than the event receives it after another look', async () => {
    const { organizationId, x } = await scene()
    const held = await claimOne(database, x)
    await withSessions(database, 1, async (waiter) => {
      await begin(waiter, 'repeatable read')
      await emit(database, organizationId, 'k', 1)
      await waitFor(waiter, x, held, ['k'])
      await waiter.query('commit')
    })
    expect(await claim(database, x)).toEqual([])
    expect(await match(database)).toBe('1')
    expect(await received(x)).toMatchObject([{ output: 1 }])
  })

  test('by the default of the database, and that has waited for an emit to commit, receives the event all the same', async () => {
    const { organizationId, x } = await scene()
    const held = await claimOne(database, x)
    await withSessions(database, 2, async (emitter, waiter) => {
      await waiter.query("set default_transaction_isolation = 'repeatable read'")
      await emitter.query('begin')
      await emit(emitter, organizationId, 'k', 1)
      // It takes its locks now, as it does when it commits.
      await emitter.query('set constraints all immediate')
      const waiting = waitFor(waiter, x, held, ['k'])
      await untilBlocked(database, waiter)
      await emitter.query('commit')
      await waiting
    })
    await match(database)
    expect(await received(x)).toMatchObject([{ output: 1 }])
  })
})

test('a look that is itself taken with an old snapshot leaves the key to the next one', async () => {
  const { organizationId, x } = await scene()
  const held = await claimOne(database, x)
  await withSessions(database, 1, async (emitter) => {
    await begin(emitter, 'repeatable read')
    await waitFor(database, x, held, ['k'])
    await emit(emitter, organizationId, 'k', 1)
    await emitter.query('commit')
    await emitter.query('begin isolation level repeatable read')
    expect(await match(emitter)).toBe('0')
    await emitter.query('commit')
  })
  expect(await match(database)).toBe('1')
  await received(x)
})
