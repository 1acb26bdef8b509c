import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { listening } from '../../support/listening.js'
import { checkpoint, claim, contents, enqueue, execution, extend, makeVisible, messages, one, release, report, reportFailures, sqlDatabase, untilBlocked, withSessions } from '../../support/sql.js'
import { check, deadlineIn, deadlines, family, invoke, isRunning, notices, type Outcome, outcomesOf } from './scene.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

const REASON = 'cancelled: the execution that invoked it missed its deadline'
const CANCELLED = { status: 'cancelled', last_error: REASON, error_category: null, dlq_msg_id: null }

/** What the watchdog did, by execution. */
const byId = (rows: readonly Outcome[]) => Object.fromEntries(rows.map((row) => [row.execution_id, row.outcome]))
const counts = async (batchId: string) => one(await database.query('select open, dead_lettered, stopped, finished_at is not null as closed from public.fw_worker_runs where id = $1', [batchId]))
const extendDeadline = "select public.fw_extend_deadline($1, 60, 'nearly done')"

describe('when an execution misses its deadline, what it has invoked', () => {
  test('ends with it as cancelled: its place is free, no write of its executor changes anything, and the executor is told', async () => {
    const { organizationId, x, id, held, child, childHeld } = await family(database, { on_timeout: 'fail', timeout_minutes: 30 })
    await deadlineIn(database, id, -1)
    await listening(database, ['fw_batch'], async ({ heard }) => {
      const rows = await check(database)
      expect(byId(rows)).toEqual({ [id]: 'fail', [child]: 'cancelled' })
      expect(rows).toContainEqual({ execution_id: child, organization_id: organizationId, outcome: 'cancelled' })
      const told = (await heard('fw_batch')).map((payload) => JSON.parse(payload) as Record<string, string>)
      expect(told).toHaveLength(2)
      expect(told).toContainEqual({ execution_id: child, batch_id: childHeld.batch_id, reason: REASON })
      expect(told).toContainEqual({ execution_id: id, batch_id: held.batch_id, reason: 'the deadline passed before the execution had finished (timeout 30 minutes)' })
    })
    expect(await execution(database, id)).toMatchObject({ status: 'timed_out', error_category: 'TIMEOUT' })
    expect(await execution(database, child)).toMatchObject({ ...CANCELLED, completed_at: expect.any(Date) as unknown })
    expect(await messages(database, organizationId)).toEqual([])
    expect(await counts(held.batch_id)).toEqual({ open: 0, dead_lettered: 1, stopped: 0, closed: true })
    expect(await counts(childHeld.batch_id)).toEqual({ open: 0, dead_lettered: 0, stopped: 1, closed: true })
    expect(await isRunning(database, organizationId)).toBe(false)
    expect(await database.query("select from public.fw_execution_steps where execution_id = $1 and status = 'waiting'", [id])).toEqual([])
    const before = await contents(database)
    expect(await report(database, x, [{ ...childHeld, output: 'late' }])).toEqual([child])
    expect(await reportFailures(database, x, [{ ...childHeld, permanent: true }])).toEqual({ [child]: 'fenced' })
    expect(await extend(database, x, [childHeld])).toEqual([childHeld.batch_id])
    await expect(checkpoint(database, x, childHeld, { name: 'a', index: 0, output: 1 })).rejects.toMatchObject({ code: 'FW001' })
    expect(await contents(database)).toEqual(before)
  })

  test.each([
    ['fail', 'timed_out', 0],
    ['cancel', 'cancelled', 0],
    ['escalate', 'timed_out', 1],
  ] as const)('ends as cancelled whatever the workflow of the late one says (%s), and is not counted among the most of a call', async (on_timeout, status, told) => {
    const { id, child } = await family(database, { on_timeout }, { on_timeout: 'fail' })
    await deadlineIn(database, id, -1)
    expect(byId(await check(database, 1))).toEqual({ [id]: on_timeout, [child]: 'cancelled' })
    expect(await execution(database, id)).toMatchObject({ status })
    expect(await execution(database, child)).toMatchObject(CANCELLED)
    expect(await notices(database, id)).toHaveLength(told)
    expect(await notices(database, child)).toEqual([])
  })

  test('ends with all that it has invoked in turn, whether that runs, waits, is queued or will be retried', async () => {
    const { organizationId, x, id, held, child, childName, childHeld } = await family(database)
    const grandchildren = await invoke(database, x, childHeld, [childName, childName])
    const [first] = await claim(database, x, 1)
    if (first === undefined) throw new Error('nothing was claimed')
    const retried = one(await claim(database, x))
    await reportFailures(database, x, [{ ...retried, delayMs: 3_600_000 }])
    const below = await invoke(database, x, first, [childName, childName])
    const [runs] = await claim(database, x, 1)
    if (runs === undefined) throw new Error('nothing was claimed')
    await release(database, x, [held])
    const others = await enqueue(database, childName, organizationId)
    await deadlineIn(database, id, -1)
    expect(byId(await check(database))).toEqual({ [id]: 'fail', ...Object.fromEntries([child, ...grandchildren, ...below].map((each) => [each, 'cancelled'])) })
    for (const each of [child, ...grandchildren, ...below]) expect(await execution(database, each)).toMatchObject(CANCELLED)
    expect(await report(database, x, [runs])).toEqual([runs.execution_id])
    // Another execution of the same workflow is left alone.
    expect(await messages(database, organizationId)).toHaveLength(1)
    expect((await claim(database, x)).map((row) => row.execution_id)).toEqual(others)
  })

  test('leaves the siblings of the late one, and the one that invoked it, alone: that one goes on', async () => {
    const { x, id, held, child, childHeld, childName } = await family(database, {}, { on_timeout: 'cancel' })
    const grandchild = one(await invoke(database, x, childHeld, [childName]))
    await makeVisible(database, [child])
    const again = (await claim(database, x)).find((row) => row.execution_id === child)
    if (again === undefined) throw new Error('the child was not claimed')
    const sibling = one(await invoke(database, x, held, [childName]))
    await deadlineIn(database, child, -1)
    expect(byId(await check(database))).toEqual({ [child]: 'cancel', [grandchild]: 'cancelled' })
    expect(await execution(database, id)).toMatchObject({ status: 'waiting' })
    expect(await execution(database, sibling)).toMatchObject({ status: 'queued' })
    const next = await claim(database, x)
    expect(next.map((row) => row.execution_id).sort()).toEqual([id, sibling].sort())
    expect(next.find((row) => row.execution_id === id)?.steps).toContainEqual(expect.objectContaining({ child: expect.objectContaining({ id: child, status: 'cancelled' }) as unknown }))
  })

  test('that is late itself ends as its own workflow says', async () => {
    const { id, child } = await family(database, { on_timeout: 'cancel' }, { on_timeout: 'fail', timeout_minutes: 7 })
    await deadlineIn(database, id, -1)
    await deadlineIn(database, child, -1)
    const rows = await check(database)
    expect(rows).toHaveLength(2)
    expect(byId(rows)).toEqual({ [id]: 'cancel', [child]: 'fail' })
    expect(await execution(database, child)).toMatchObject({ status: 'timed_out', last_error: 'the deadline passed before the execution had finished (timeout 7 minutes)' })
    expect(await database.query('select from public.fw_dlq where execution_id = $1', [child])).toHaveLength(1)
  })

  test('and whose message was deleted by hand ends with it', async () => {
    const { x, id, child, childHeld } = await family(database)
    await release(database, x, [childHeld])
    await database.query('delete from pgmq.q_workflow_execution_queue where msg_id = $1', [(await execution(database, child)).msg_id])
    await deadlineIn(database, id, -1)
    expect(byId(await check(database))).toEqual({ [id]: 'fail', [child]: 'cancelled' })
  })
})

test('an execution that waits for what it has invoked has no deadline; what was left of it counts from when it runs again', async () => {
  const { x, id, held, child, childName } = await family(database)
  const second = one(await invoke(database, x, held, [childName]))
  await database.query("update public.fw_workflow_executions set deadline_left = interval '-1 minute' where id = $1", [id])
  expect(await deadlines(database, id)).toMatchObject({ deadline_at: null })
  expect(await check(database)).toEqual([])
  expect(await execution(database, child)).toMatchObject({ status: 'running' })
  await makeVisible(database, [id])
  await claim(database, x)
  expect(byId(await check(database))).toEqual({ [id]: 'fail', [child]: 'cancelled', [second]: 'cancelled' })
})

describe('the watchdog waits for', () => {
  test('an extension of the deadline of the one that is late, and ends nothing', async () => {
    const { x, id, held, child, childHeld } = await family(database)
    await deadlineIn(database, id, -1)
    await withSessions(database, 2, async (administrator, watchdog) => {
      await administrator.query('begin')
      await administrator.query(extendDeadline, [id])
      const checked = check(watchdog)
      await untilBlocked(database, watchdog)
      await administrator.query('commit')
      expect(await checked).toEqual([])
    })
    expect(await execution(database, child)).toMatchObject({ status: 'running' })
    expect(await report(database, x, [held, childHeld])).toEqual([])
  })

  test('an extension of the deadline of what it has invoked, which ends all the same: as cancelled', async () => {
    const { id, child } = await family(database, {}, { on_timeout: 'fail' })
    for (const each of [id, child]) await deadlineIn(database, each, -1)
    await withSessions(database, 2, async (administrator, watchdog) => {
      await administrator.query('begin')
      await administrator.query(extendDeadline, [child])
      const checked = check(watchdog)
      await untilBlocked(database, watchdog)
      await administrator.query('commit')
      expect(byId(await checked)).toEqual({ [id]: 'fail', [child]: 'cancelled' })
    })
    expect(await execution(database, child)).toMatchObject(CANCELLED)
  })

  test('an extension of the deadline of the one above, and ends below it what is late itself', async () => {
    const { id, child } = await family(database, {}, { on_timeout: 'fail' })
    for (const each of [id, child]) await deadlineIn(database, each, -1)
    await withSessions(database, 2, async (administrator, watchdog) => {
      await administrator.query('begin')
      await administrator.query(extendDeadline, [id])
      const checked = check(watchdog)
      await untilBlocked(database, watchdog)
      await administrator.query('commit')
      expect(byId(await checked)).toEqual({ [child]: 'fail' })
    })
    expect(await execution(database, id)).toMatchObject({ status: 'running' })
  })

  test('the end of the late one, and leaves alone what it has invoked', async () => {
    const { x, id, held, child, childHeld } = await family(database)
    await deadlineIn(database, id, -1)
    await withSessions(database, 2, async (reporter, watchdog) => {
      await reporter.query('begin')
      expect(await report(reporter, x, [held])).toEqual([])
      const checked = check(watchdog)
      await untilBlocked(database, watchdog)
      await reporter.query('commit')
      expect(await checked).toEqual([])
    })
    expect(await execution(database, child)).toMatchObject({ status: 'running' })
    expect(await report(database, x, [childHeld])).toEqual([])
  })

  test('a report of a step of what it has invoked, which completes then, and ends the late one alone', async () => {
    const { x, id, child, childHeld } = await family(database)
    await deadlineIn(database, id, -1)
    await withSessions(database, 2, async (reporter, watchdog) => {
      await reporter.query('begin')
      expect(await report(reporter, x, [{ ...childHeld, done: false, completed: [{ name: 'a', index: 0, output: 1 }] }])).toEqual([])
      const checked = check(watchdog)
      await untilBlocked(database, watchdog)
      // This needs the message of the late one.
      expect(await report(reporter, x, [{ ...childHeld, output: 'in time' }])).toEqual([])
      await reporter.query('commit')
      expect(byId(await checked)).toEqual({ [id]: 'fail' })
    })
    expect(await execution(database, child)).toMatchObject({ status: 'completed', output: 'in time' })
  })

  test('what has just been invoked further below, and leaves all of it to the next look', async () => {
    const { x, id, child, childHeld, childName } = await family(database)
    await deadlineIn(database, id, -1)
    await withSessions(database, 2, async (reporter, watchdog) => {
      await reporter.query('begin')
      const grandchild = one(await invoke(reporter, x, childHeld, [childName]))
      const checked = check(watchdog)
      await untilBlocked(database, watchdog)
      await reporter.query('commit')
      expect(await checked).toEqual([])
      expect(await execution(database, id)).toMatchObject({ status: 'running' })
      expect(byId(await check(watchdog))).toEqual({ [id]: 'fail', [child]: 'cancelled', [grandchild]: 'cancelled' })
    })
  })

  test('a claim of what was invoked, and leaves all of it to the next look', async () => {
    const { x, id, child, childHeld } = await family(database)
    await release(database, x, [childHeld])
    await deadlineIn(database, id, -1)
    await withSessions(database, 2, async (claimer, watchdog) => {
      await claimer.query('begin')
      const again = await claim(claimer, x)
      expect(again.map((row) => row.execution_id)).toEqual([child])
      const checked = check(watchdog)
      await untilBlocked(database, watchdog)
      await claimer.query('commit')
      expect(await checked).toEqual([])
      expect(byId(await check(watchdog))).toEqual({ [id]: 'fail', [child]: 'cancelled' })
      expect(await report(database, x, again)).toEqual([child])
    })
  })

  test('a claim of what was invoked, and ends another one that is late at once', async () => {
    const { x, id, childHeld } = await family(database)
    const other = await family(database, { on_timeout: 'cancel' })
    await release(database, x, [childHeld])
    for (const each of [id, other.id]) await deadlineIn(database, each, -1)
    await withSessions(database, 2, async (claimer, watchdog) => {
      await claimer.query('begin')
      expect(await claim(claimer, x)).toHaveLength(1)
      const checked = check(watchdog)
      await untilBlocked(database, watchdog)
      await claimer.query('commit')
      const rows = await checked
      expect(outcomesOf(rows, id)).toEqual([])
      expect(byId(rows)).toEqual({ [other.id]: 'cancel', [other.child]: 'cancelled' })
      expect(await check(watchdog)).toHaveLength(2)
    })
  })
})
