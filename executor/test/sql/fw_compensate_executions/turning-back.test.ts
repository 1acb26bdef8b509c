import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { listening } from '../../support/listening.js'
import { claim, enqueue, execution, one, type Queryable, report, sqlDatabase, untilBlocked, withSessions } from '../../support/sql.js'
import { family, isRunning, running, scene } from '../fw_check_deadlines/scene.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

const turnBack = async (on: Queryable, ids: readonly string[]) =>
  (await on.query<{ id: string }>('select public.fw_compensate_executions($1::uuid[], $2::text[]) as id', [ids, ids.map((_, at) => `reason ${at}`)])).map(({ id }) => id).sort()
const counts = async (batchId: string) => one(await database.query('select open, stopped, dead_lettered, finished_at is not null as closed from public.fw_worker_runs where id = $1', [batchId]))
/** What a claim gives of executions that are to compensate. */
const turned = (error: string) => ({ status: 'cancelled', error, category: null })

describe('turning executions back', () => {
  test('takes those that run out of their batch, tells their executors, and gives each to the next claim with its reason', async () => {
    const { name, organizationId, x, id } = await scene(database, {}, { batchSize: 2 })
    const ids = [id, ...(await enqueue(database, name, organizationId, 2))]
    const held = await claim(database, x)
    expect(held).toHaveLength(2)
    await listening(database, ['fw_batch'], async ({ heard }) => {
      expect(await turnBack(database, ids)).toEqual(ids.toSorted())
      const told = (await heard('fw_batch')).map((payload) => JSON.parse(payload) as { execution_id: string })
      const expected = held.map((row) => ({ execution_id: row.execution_id, batch_id: row.batch_id, reason: `reason ${ids.indexOf(row.execution_id)}` }))
      const byId = (all: readonly { execution_id: string }[]) => all.toSorted((p, q) => (p.execution_id < q.execution_id ? -1 : 1))
      expect(byId(told)).toEqual(byId(expected))
    })
    expect(await counts(held[0]?.batch_id ?? '')).toEqual({ open: 0, stopped: 2, dead_lettered: 0, closed: true })
    expect(await isRunning(database, organizationId)).toBe(false)
    expect((await report(database, x, held)).sort()).toEqual(held.map((row) => row.execution_id).sort())
    await database.query('select public.fw_save_worker_settings($1, true, 10)', [organizationId])
    const again = await claim(database, x)
    expect(Object.fromEntries(again.map((row) => [row.execution_id, 'compensating' in row && row.compensating]))).toEqual(
      Object.fromEntries(ids.map((each, at) => [each, turned(`reason ${at}`)])))
    // They compensate already: they are left to go on.
    expect(await turnBack(database, ids)).toEqual([])
    expect(await counts(again[0]?.batch_id ?? '')).toMatchObject({ open: 3, stopped: 0 })
  })

  test('leaves what has finished, what compensates already, and what there is not, as it is, and turns back the others', async () => {
    const done = await running(database)
    await report(database, done.x, [done.held])
    const [first, second] = [await running(database), await running(database)]
    expect(await turnBack(database, [first.id])).toEqual([first.id])
    expect(await turnBack(database, [done.id, first.id, randomUUID(), second.id])).toEqual([second.id])
    expect(await execution(database, done.id)).toMatchObject({ status: 'completed', compensating: null })
    expect(await execution(database, first.id)).toMatchObject({ compensating: turned('reason 0') })
    expect(await execution(database, second.id)).toMatchObject({ status: 'queued', compensating: turned('reason 3') })
    expect(await turnBack(database, [])).toEqual([])
  })

  test('waits for a report that holds the batch, and leaves what it has completed', async () => {
    const { x, id, held } = await running(database)
    await withSessions(database, 2, async (reporter, administrator) => {
      await reporter.query('begin')
      expect(await report(reporter, x, [held])).toEqual([])
      const turning = turnBack(administrator, [id])
      await untilBlocked(database, administrator)
      await reporter.query('commit')
      expect(await turning).toEqual([])
    })
    expect(await execution(database, id)).toMatchObject({ status: 'completed', compensating: null })
  })

  test('does not wait for the one that invoked them', async () => {
    const { id, child } = await family(database)
    await withSessions(database, 2, async (other, administrator) => {
      await other.query('begin')
      await other.query("select from pgmq.q_workflow_execution_queue where message ->> 'execution_id' = $1 for update", [id])
      await administrator.query("set lock_timeout = '1ms'")
      expect(await turnBack(administrator, [child])).toEqual([child])
      await other.query('commit')
    })
  })
})
