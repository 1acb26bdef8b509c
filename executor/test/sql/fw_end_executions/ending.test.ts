import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { listening } from '../../support/listening.js'
import { claim, claimOne, enqueue, execution, messages, one, type Queryable, report, sqlDatabase, untilBlocked, withSessions } from '../../support/sql.js'
import { invoke, isRunning, running, scene } from '../fw_check_deadlines/scene.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

interface Ending {
  id: string
  status: 'timed_out' | 'cancelled' | 'failed'
  dead?: boolean
  error?: string
}

const end = (endings: readonly Ending[], on: Queryable = database) =>
  on.query<{ execution_id: string; organization_id: string; was_running: boolean; place: number; is_turned_back: boolean }>(
    'select * from public.fw_end_executions($1::uuid[], $2::public.fw_execution_status[], $3::text[], $4::text[], $5::boolean[])',
    [
      endings.map(({ id }) => id),
      endings.map(({ status }) => status),
      endings.map(({ error = 'by hand' }) => error),
      endings.map(() => 'RUNTIME'),
      endings.map(({ dead = false }) => dead),
    ],
  )

describe('ending executions from outside', () => {
  test('gives each its own status, reason and dead letter, whether it runs or waits', async () => {
    const { name, organizationId, x, id } = await scene(database, {}, { batchSize: 3 })
    const ids = [id, ...(await enqueue(database, name, organizationId, 5))]
    const held = await claim(database, x)
    const endings = ids.map((each, at): Ending => ({ id: each, status: at % 2 === 0 ? 'cancelled' : 'timed_out', dead: at % 2 === 1, error: `reason ${at}` }))
    const rows = await end(endings)
    const runs = new Set(held.map((row) => row.execution_id))
    const expected = ids.map((each, at) => ({ execution_id: each, organization_id: organizationId, was_running: runs.has(each), place: at + 1, is_turned_back: false }))
    const sorted = (all: typeof rows) => all.toSorted((p, q) => (p.execution_id < q.execution_id ? -1 : 1))
    expect(sorted(rows)).toEqual(sorted(expected))
    for (const [at, each] of ids.entries()) {
      expect(await execution(database, each)).toMatchObject({ status: at % 2 === 0 ? 'cancelled' : 'timed_out', last_error: `reason ${at}`, error_category: 'RUNTIME' })
      const letters = await database.query('select error from public.fw_dlq where execution_id = $1', [each])
      expect(letters).toEqual(at % 2 === 0 ? [] : [{ error: `reason ${at}` }])
    }
    expect(await messages(database, organizationId)).toEqual([])
    expect(await isRunning(database, organizationId)).toBe(false)
    expect(await report(database, x, held)).toHaveLength(3)
  })

  test('leaves what has finished, and what there is not, as it is', async () => {
    const { x, id, held } = await running(database)
    await report(database, x, [held])
    expect(await end([{ id, status: 'cancelled' }, { id: randomUUID(), status: 'cancelled' }])).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'completed', last_error: null })
    expect(await end([])).toEqual([])
  })

  test('tells executors of those that ran only, and cuts a reason that a NOTIFY has no room for', async () => {
    const { name, organizationId, x, id } = await scene(database, {}, { batchSize: 1 })
    const waiting = one(await enqueue(database, name, organizationId))
    const held = one(await claim(database, x))
    const other = held.execution_id === id ? waiting : id
    const error = '🐢'.repeat(5000)
    await listening(database, ['fw_batch'], async ({ heard }) => {
      await end([held.execution_id, other].map((each) => ({ id: each, status: 'cancelled', error })))
      const told = (await heard('fw_batch')).map((payload) => JSON.parse(payload) as Record<string, string>)
      expect(told).toEqual([{ execution_id: held.execution_id, batch_id: held.batch_id, reason: expect.stringMatching(/^🐢+$/u) as unknown }])
    })
    expect(await execution(database, held.execution_id)).toMatchObject({ last_error: error })
    const { reason } = one(
      await database.query<{ reason: string }>('select reason from public.fw_ended_executions($1::uuid[], $2::uuid[])', [[held.execution_id], [held.batch_id]]),
    )
    expect(reason).toBe(error)
  })

  test('wakes the one that waits for the last two of a map, also when they end at once', async () => {
    const { name, organizationId, x, id } = await scene(database)
    const children = await invoke(database, x, await claimOne(database, x), [name, name])
    await database.query("update public.fw_execution_steps set wait_group = 'map' where execution_id = $1 and child_id is not null", [id])
    await withSessions(database, 2, async (first, second) => {
      await first.query('begin')
      await end([{ id: children[0] ?? '', status: 'cancelled' }], first)
      const ended = end([{ id: children[1] ?? '', status: 'cancelled' }], second)
      await untilBlocked(database, second)
      await first.query('commit')
      expect(await ended).toHaveLength(1)
    })
    expect(await messages(database, organizationId)).toHaveLength(1)
    expect(await claimOne(database, x)).toMatchObject({ execution_id: id })
  })
})
