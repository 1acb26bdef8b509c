import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { listening } from '../../support/listening.js'
import { claim, claimOne, execution, messages, one, type Queryable, release, report, reportFailures, sqlDatabase, untilBlocked, withSessions } from '../../support/sql.js'
import { family, invoke, isRunning, running, scene } from '../fw_check_deadlines/scene.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

const fail = async (on: Queryable, id: string, reason: string | null = 'it is not wanted') =>
  one(await on.query<{ done: boolean }>('select public.fw_fail_execution($1, $2) as done', [id, reason])).done
const letterOf = async (id: string) => one(await database.query<{ message: Record<string, unknown>; msg_id: string }>('select message, msg_id from public.fw_dlq where execution_id = $1', [id]))
const ERROR = 'failed by hand: it is not wanted'

describe('failing by hand', () => {
  test('ends one that waits for its turn, with a dead letter that can be put back', async () => {
    const { x, id, organizationId } = await scene(database)
    expect(await fail(database, id)).toBe(true)
    expect(await execution(database, id)).toMatchObject({ status: 'failed', last_error: ERROR, error_category: 'RUNTIME' })
    expect(await messages(database, organizationId)).toEqual([])
    const { message, msg_id } = await letterOf(id)
    expect(message).toMatchObject({ error: ERROR, error_category: 'RUNTIME', attempt: 1 })
    expect(await fail(database, id)).toBe(false)
    await database.query('select public.fw_dlq_retry($1)', [msg_id])
    expect(await claimOne(database, x)).toMatchObject({ execution_id: id, attempt: 1 })
  })

  test('ends one that was handed back, as a parked one is', async () => {
    const { x, id, held } = await running(database)
    await release(database, x, [held])
    expect(await fail(database, id)).toBe(true)
    expect(await execution(database, id)).toMatchObject({ status: 'failed' })
  })

  test('ends what runs and cancels what it has invoked, frees their places and tells their executors', async () => {
    const { x, id, held, child, childHeld, organizationId } = await family(database)
    await listening(database, ['fw_batch'], async ({ heard }) => {
      expect(await fail(database, id)).toBe(true)
      const told = (await heard('fw_batch')).map((payload) => JSON.parse(payload) as unknown)
      expect(told).toContainEqual({ execution_id: id, batch_id: held.batch_id, reason: ERROR })
      expect(told).toContainEqual({ execution_id: child, batch_id: childHeld.batch_id, reason: 'cancelled: the execution that invoked it was failed by hand' })
    })
    expect(await execution(database, id)).toMatchObject({ status: 'failed' })
    expect(await execution(database, child)).toMatchObject({ status: 'cancelled' })
    expect(await isRunning(database, organizationId)).toBe(false)
    expect((await report(database, x, [held, childHeld])).sort()).toEqual([id, child].sort())
  })

  test('turns back what has completed something that can be undone, children included; a second time it is left to go on', async () => {
    const { x, id, held, child, childHeld } = await family(database)
    for (const each of [held, childHeld]) await report(database, x, [{ ...each, done: false, completed: [{ name: 'booked', index: 10, output: 1, compensable: true }] }])
    expect(await fail(database, id)).toBe(true)
    expect(await execution(database, id)).toMatchObject({ status: 'queued', compensating: { status: 'failed', error: ERROR, category: 'RUNTIME', dead_letter: true, attempt: 1 } })
    expect(await execution(database, child)).toMatchObject({ status: 'queued', compensating: { status: 'cancelled', dead_letter: false } })
    expect(await fail(database, id)).toBe(false)
    await expectInvariantsZero(database.pool)
    const claimed = await claim(database, x)
    expect(claimed.map(({ execution_id }) => execution_id).sort()).toEqual([id, child].sort())
    for (const each of claimed) await database.query('select public.fw_record_compensation($1, $2, $3, $4)', [x, each.execution_id, each.batch_id, 'booked'])
    await reportFailures(database, x, claimed.map((each) => ({ ...each, error: each.execution_id === id ? ERROR : 'cancelled: the execution that invoked it was failed by hand', permanent: true })))
    expect((await letterOf(id)).message).toMatchObject({ error: `${ERROR}; compensated: booked`, compensated: ['booked'], not_compensated: [] })
    expect(await execution(database, child)).toMatchObject({ status: 'cancelled', last_error: expect.stringMatching(/; compensated: booked$/) as unknown })
    expect(await database.query('select 1 from public.fw_dlq where execution_id = $1', [child])).toEqual([])
  })

  test('ends what was claimed, and what was invoked, while it waited for a lock', async () => {
    const made = await family(database)
    await withSessions(database, 2, async (executor, administrator) => {
      await executor.query('begin')
      const grandchild = one(await invoke(executor, made.x, made.childHeld, [made.childName]))
      const failed = fail(administrator, made.id)
      await untilBlocked(database, administrator)
      await executor.query('commit')
      expect(await failed).toBe(true)
      expect(await execution(database, made.id)).toMatchObject({ status: 'failed' })
      for (const each of [made.child, grandchild]) expect(await execution(database, each)).toMatchObject({ status: 'cancelled' })
    })
  })

  test('leaves what has finished, and refuses an empty reason and an execution that there is not', async () => {
    const { x, id, held } = await running(database)
    await report(database, x, [held])
    expect(await fail(database, id)).toBe(false)
    expect(await execution(database, id)).toMatchObject({ status: 'completed' })
    for (const reason of [null, '', ' \n']) await expect(fail(database, id, reason)).rejects.toMatchObject({ code: '22023', message: 'the reason is empty' })
    await expect(fail(database, randomUUID())).rejects.toMatchObject({ code: 'FW005' })
  })
})
