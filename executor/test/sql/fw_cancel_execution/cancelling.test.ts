import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { listening } from '../../support/listening.js'
import { claim, execution, messages, one, type Queryable, report, sqlDatabase, untilBlocked, withSessions } from '../../support/sql.js'
import { family, invoke, isRunning, running, scene } from '../fw_check_deadlines/scene.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

const cancel = async (on: Queryable, id: string, compensate = false, reason: string | null = 'by Ada') =>
  one(await on.query<{ done: boolean }>('select public.fw_cancel_execution($1, $2, $3) as done', [id, reason, compensate])).done
const counts = async (batchId: string) => one(await database.query('select open, stopped, finished_at is not null as closed from public.fw_worker_runs where id = $1', [batchId]))

describe('cancelling', () => {
  test('ends what runs and what it has invoked, frees their places and tells their executors', async () => {
    const { organizationId, x, id, held, child, childHeld } = await family(database)
    await listening(database, ['fw_batch'], async ({ heard }) => {
      expect(await cancel(database, id)).toBe(true)
      const told = (await heard('fw_batch')).map((payload) => JSON.parse(payload) as unknown)
      expect(told).toHaveLength(2)
      expect(told).toContainEqual({ execution_id: id, batch_id: held.batch_id, reason: 'cancelled: by Ada' })
      expect(told).toContainEqual({ execution_id: child, batch_id: childHeld.batch_id, reason: 'cancelled: by Ada, with the execution that invoked it' })
    })
    expect(await execution(database, id)).toMatchObject({ status: 'cancelled', last_error: 'cancelled: by Ada' })
    expect(await execution(database, child)).toMatchObject({ status: 'cancelled', last_error: 'cancelled: by Ada, with the execution that invoked it' })
    for (const each of [held, childHeld]) expect(await counts(each.batch_id)).toEqual({ open: 0, stopped: 1, closed: true })
    expect(await messages(database, organizationId)).toEqual([])
    expect(await isRunning(database, organizationId)).toBe(false)
    expect((await report(database, x, [held, childHeld])).sort()).toEqual([id, child].sort())
    expect(await cancel(database, id)).toBe(false)
  })

  test('has no deadline to look at: one that is in time ends too', async () => {
    const { id } = await running(database, { timeout_minutes: 60 })
    expect(await cancel(database, id, false, null)).toBe(true)
    expect(await execution(database, id)).toMatchObject({ status: 'cancelled', last_error: 'cancelled' })
  })

  test('ends what was claimed, and what was invoked, while it waited for a lock', async () => {
    const { x, id } = await scene(database)
    await withSessions(database, 2, async (claimer, administrator) => {
      await claimer.query('begin')
      const held = one(await claim(claimer, x))
      const cancelled = cancel(administrator, id)
      await untilBlocked(database, administrator)
      await claimer.query('commit')
      expect(await cancelled).toBe(true)
      expect(await report(database, x, [held])).toEqual([id])
    })
    const made = await family(database)
    await withSessions(database, 2, async (executor, administrator) => {
      await executor.query('begin')
      const grandchild = one(await invoke(executor, made.x, made.childHeld, [made.childName]))
      const cancelled = cancel(administrator, made.id)
      await untilBlocked(database, administrator)
      await executor.query('commit')
      expect(await cancelled).toBe(true)
      for (const each of [made.id, made.child, grandchild]) expect(await execution(database, each)).toMatchObject({ status: 'cancelled' })
    })
  })

  test('refuses an execution that there is not', async () => {
    await expect(cancel(database, randomUUID())).rejects.toMatchObject({ code: 'FW005' })
  })
})
