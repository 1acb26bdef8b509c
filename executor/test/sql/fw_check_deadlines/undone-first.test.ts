import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { claim, claimOne, execution, messages, one, type Policy, report, reportFailures, sqlDatabase } from '../../support/sql.js'
import { check, deadlineIn, deadlines, family, isRunning, notices, outcomesOf, running, type Scene } from './scene.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

const REASON = 'the deadline passed before the execution had finished (timeout 30 minutes)'

/** It runs, and has completed a step that can be undone, and one that cannot. */
async function halfWay(policy: Policy) {
  const made = await running(database, { timeout_minutes: 30, ...policy })
  const completed = [{ name: 'booked', index: 0, output: 1, compensable: true }, { name: 'told', index: 1, output: 2 }]
  expect(await report(database, made.x, [{ ...made.held, done: false, completed }])).toEqual([])
  return made
}

const letterOf = (id: string) => database.query<{ message: Record<string, unknown> }>('select message from public.fw_dlq where execution_id = $1', [id])
const compensating = async (id: string) => one(await database.query<{ compensating: Record<string, unknown> | null }>('select compensating from public.fw_workflow_executions where id = $1', [id])).compensating

/** What an executor does with one that is to be undone. */
async function undo({ x, id }: Scene): Promise<void> {
  const held = await claimOne(database, x)
  expect(held).toMatchObject({ execution_id: id, compensating: { error: REASON } })
  expect(one(await database.query('select public.fw_record_compensation($1, $2, $3, $4) as done', [x, id, held.batch_id, 'booked']))).toEqual({ done: true })
  expect(await reportFailures(database, x, [{ ...held, error: REASON, category: 'TIMEOUT', permanent: true }])).toEqual({ [id]: 'failed' })
}

describe('a missed deadline of one that has completed something that can be undone', () => {
  test.each([
    ['fail', 'timed_out', true],
    ['escalate', 'timed_out', false],
    ['cancel', 'cancelled', false],
  ] as const)('with %s: it is undone first, and then it is %s', async (on_timeout, status, isDead) => {
    const made = await halfWay({ on_timeout })
    const { x, id, held, organizationId } = made
    await deadlineIn(database, id, -1)
    expect(await check(database)).toEqual([{ execution_id: id, organization_id: organizationId, outcome: on_timeout }])
    // Not ended: whoever claims it next, and that is at once, undoes it. Who ran it is out.
    expect(await execution(database, id)).toMatchObject({ status: 'queued', last_error: REASON })
    expect(await compensating(id)).toMatchObject({ status, error: REASON, category: 'TIMEOUT', dead_letter: isDead, attempt: 1 })
    expect(await letterOf(id)).toEqual([])
    expect(await messages(database, organizationId)).toHaveLength(1)
    expect(await database.query('select * from public.fw_ended_executions($1::uuid[], $2::uuid[])', [[id], [held.batch_id]])).toEqual([
      { execution_id: id, batch_id: held.batch_id, reason: REASON }])
    expect(await report(database, x, [held])).toEqual([id])
    expect(await check(database)).toEqual([])
    await expectInvariantsZero(database.pool)
    await undo(made)
    const error = `${REASON}; compensated: booked`
    expect(await execution(database, id)).toMatchObject({ status, last_error: error, error_category: 'TIMEOUT', completed_at: expect.any(Date) as unknown })
    const letters = await letterOf(id)
    expect(letters.map(({ message }) => message)).toEqual(isDead ? [expect.objectContaining({ error, compensated: ['booked'], not_compensated: [], attempt: 1 })] : [])
    expect(await messages(database, organizationId)).toEqual([])
    expect((await notices(database, id)).map(({ kind, message }) => [kind, message])).toEqual(
      on_timeout === 'escalate' ? [['timed_out', 'an execution missed its deadline; once its compensations have run it ends as timed_out']] : [])
    expect(await isRunning(database, organizationId)).toBe(false)
  })

  test('with compensate_on_timeout off it ends at once, and the dead letter says what was not undone', async () => {
    const { id } = await halfWay({ compensate_on_timeout: false })
    await deadlineIn(database, id, -1)
    expect(outcomesOf(await check(database), id)).toEqual(['fail'])
    expect(await execution(database, id)).toMatchObject({ status: 'timed_out', compensating: null })
    expect(one(await letterOf(id)).message).toMatchObject({ compensated: [], not_compensated: ['booked'] })
  })

  test('its compensations have the timeout anew; once that has passed as well it ends as was decided, and is not undone again', async () => {
    const { x, id } = await halfWay({ on_timeout: 'fail' })
    await deadlineIn(database, id, -1)
    await check(database)
    expect((await deadlines(database, id)).deadline_at).toBeNull()
    await claimOne(database, x)
    const left = ((await deadlines(database, id)).deadline_at?.getTime() ?? 0) - Date.now()
    expect(left).toBeGreaterThan(25 * 60_000)
    await deadlineIn(database, id, -1)
    expect(outcomesOf(await check(database), id)).toEqual(['fail'])
    const error = `${REASON}; its compensation did not finish: ${REASON}; not compensated: booked`
    expect(await execution(database, id)).toMatchObject({ status: 'timed_out', last_error: error })
    expect(one(await letterOf(id)).message).toMatchObject({ error, compensated: [], not_compensated: ['booked'], attempt: 1 })
    expect(await check(database)).toEqual([])
  })

  test('of compensations of one that had failed: it ends as failed', async () => {
    const { x, id, held } = await halfWay({ max_attempts: 1, on_timeout: 'cancel' })
    expect(await reportFailures(database, x, [{ ...held, error: 'no stock', category: 'NOT_FOUND' }])).toEqual({ [id]: 'retry_pending' })
    await claimOne(database, x)
    await deadlineIn(database, id, -1)
    expect(outcomesOf(await check(database), id)).toEqual(['fail'])
    const error = `no stock; its compensation did not finish: ${REASON}; not compensated: booked`
    expect(await execution(database, id)).toMatchObject({ status: 'failed', last_error: error, error_category: 'NOT_FOUND' })
    expect(one(await letterOf(id)).message).toMatchObject({ error, error_category: 'NOT_FOUND' })
  })
})

describe('what works for one that misses its deadline', () => {
  test('is undone too before it is cancelled, and what is undone already goes on with that', async () => {
    const { x, id, held, child, childHeld } = await family(database)
    for (const each of [held, childHeld]) await report(database, x, [{ ...each, done: false, completed: [{ name: 'booked', index: 10, output: 1, compensable: true }] }])
    await deadlineIn(database, id, -1)
    const rows = await check(database)
    expect(outcomesOf(rows, id)).toEqual(['fail'])
    expect(outcomesOf(rows, child)).toEqual(['cancelled'])
    expect(await compensating(child)).toMatchObject({ status: 'cancelled', dead_letter: false, error: 'cancelled: the execution that invoked it missed its deadline' })
    expect(await compensating(id)).toMatchObject({ status: 'timed_out' })
    expect((await claim(database, x)).map(({ execution_id }) => execution_id).sort()).toEqual([id, child].sort())
    await deadlineIn(database, id, -1)
    expect((await check(database)).map(({ execution_id }) => execution_id)).toEqual([id])
    expect(await execution(database, id)).toMatchObject({ status: 'timed_out' })
    expect(await execution(database, child)).toMatchObject({ status: 'running' })
  })

  test('is not undone where its own workflow says so', async () => {
    const { x, id, held, child, childHeld } = await family(database, {}, { compensate_on_timeout: false })
    for (const each of [held, childHeld]) await report(database, x, [{ ...each, done: false, completed: [{ name: 'booked', index: 10, output: 1, compensable: true }] }])
    await deadlineIn(database, id, -1)
    await check(database)
    expect(await execution(database, child)).toMatchObject({ status: 'cancelled' })
    expect(await compensating(id)).toMatchObject({ status: 'timed_out' })
  })
})
