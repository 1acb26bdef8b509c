import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { listening } from '../../support/listening.js'
import { deadLetter, execution, one, report, reportFailures, sqlDatabase } from '../../support/sql.js'
import { check, deadlineIn, deadlines, invoke, notices, outcomesOf, running, scene } from '../fw_check_deadlines/scene.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

const extend = async (id: string | null, minutes: number | null, reason: string | null) =>
  one(await database.query<{ until: Date }>('select public.fw_extend_deadline($1, $2, $3) as until', [id, minutes, reason])).until

const minutesBetween = (from: Date | null, to: Date | null) => ((to?.getTime() ?? NaN) - (from?.getTime() ?? NaN)) / 60_000

describe('extending a deadline', () => {
  test.each([1, 45, 1440])('moves it by %i minutes and returns the new one', async (minutes) => {
    const { id } = await running(database)
    const before = await deadlines(database, id)
    const until = await extend(id, minutes, 'a large import')
    const after = await deadlines(database, id)
    expect(minutesBetween(before.deadline_at, after.deadline_at)).toBe(minutes)
    expect(until).toEqual(after.deadline_at)
    expect(after.started_at).toEqual(before.started_at)
  })

  test('again adds to what was added before', async () => {
    const { id } = await running(database)
    const before = await deadlines(database, id)
    await extend(id, 10, 'a large import')
    await extend(id, 20, 'larger than thought')
    expect(minutesBetween(before.deadline_at, (await deadlines(database, id)).deadline_at)).toBe(30)
  })

  test('keeps the reason in a notice, which listeners hear', async () => {
    const { id, organizationId } = await running(database)
    await listening(database, ['fw_notice'], async ({ heard }) => {
      await extend(id, 30, '  a large import ')
      const notice = one(await notices(database, id))
      expect(notice).toMatchObject({
        kind: 'deadline_extended',
        organization_id: organizationId,
        message: 'the deadline was extended by 30 minutes: a large import',
      })
      expect((await heard('fw_notice')).map((payload) => JSON.parse(payload) as unknown)).toEqual([
        { id: Number(notice.id), kind: 'deadline_extended', organization_id: organizationId, execution_id: id, message: notice.message },
      ])
    })
  })

  test.each([
    ['of 5,000 emoji', '🐢'.repeat(5000)],
    ['of 5,000 control characters', '\u0001'.repeat(5000)],
  ])('keeps a reason %s in full, though a NOTIFY has room for less', async (_, reason) => {
    const { id } = await running(database)
    await listening(database, ['fw_notice'], async ({ heard }) => {
      await extend(id, 30, reason)
      expect(await heard('fw_notice')).toHaveLength(1)
    })
    expect(one(await notices(database, id)).message).toBe(`the deadline was extended by 30 minutes: ${reason}`)
  })

  test('makes a missed deadline good before the watchdog has come by', async () => {
    const { x, id, held } = await running(database, { on_timeout: 'fail' })
    await deadlineIn(database, id, -3)
    await extend(id, 60, 'it is nearly done')
    expect(await check(database)).toEqual([])
    expect(await report(database, x, [held])).toEqual([])
  })

  test('lets the warning be given again when the new deadline is near', async () => {
    const { id } = await running(database, { timeout_minutes: 100 })
    await deadlineIn(database, id, 15)
    expect(outcomesOf(await check(database), id)).toEqual(['warned'])
    await extend(id, 60, 'a large import')
    expect(await deadlines(database, id)).toMatchObject({ deadline_warned_at: null })
    expect(await check(database)).toEqual([])
    await deadlineIn(database, id, 15)
    expect(outcomesOf(await check(database), id)).toEqual(['warned'])
    expect((await notices(database, id)).map(({ kind }) => kind)).toEqual(['deadline_near', 'deadline_extended', 'deadline_near'])
  })

  test('is possible while it waits for a retry', async () => {
    const { x, id, held } = await running(database)
    await reportFailures(database, x, [{ ...held, delayMs: 3_600_000 }])
    const before = await deadlines(database, id)
    await extend(id, 5, 'the other side is down')
    expect(minutesBetween(before.deadline_at, (await deadlines(database, id)).deadline_at)).toBe(5)
  })

  test('that was extended is ended when the new deadline passes', async () => {
    const { id } = await running(database, { on_timeout: 'cancel' })
    await extend(id, 5, 'a large import')
    await deadlineIn(database, id, -1)
    expect(outcomesOf(await check(database), id)).toEqual(['cancel'])
  })
})

describe('what cannot be', () => {
  /** Nothing has changed and no notice was given. */
  async function expectRefused(id: string | null, minutes: number | null, reason: string | null, error: object): Promise<void> {
    const state = () => database.query("select id, deadline_at, deadline_warned_at from public.fw_workflow_executions union all select null, max(created_at), null from public.fw_notices order by 1")
    const before = await state()
    await expect(extend(id, minutes, reason)).rejects.toMatchObject(error)
    expect(await state()).toEqual(before)
  }

  test.each([0, -1, 1441, null, 2_147_483_647])('minutes outside 1 to 1440 are refused: %s', async (minutes) => {
    const { id } = await running(database)
    await expectRefused(id, minutes, 'a large import', {
      code: '22023',
      message: `p_minutes is ${minutes ?? 'NULL'}, outside 1 to 1440`,
      detail: `The deadline of execution ${id} was not changed.`,
    })
  })

  test.each([
    [null, 'NULL'],
    ['', "''"],
    ['why?', "'why?'"],
    ['  why?   ', "'  why?   '"],
    ["it's", "'it''s'"],
    ['\n\n\t\n\n\n', "'\n\n\t\n\n\n'"],
  ])('a reason of fewer than 5 characters is refused: %j', async (reason, shown) => {
    const { id } = await running(database)
    await expectRefused(id, 10, reason, { code: '22023', message: `the reason ${shown} has fewer than 5 characters` })
  })

  test('of five characters is enough', async () => {
    const { id } = await running(database)
    expect(await extend(id, 10, ' 12345 ')).toEqual((await deadlines(database, id)).deadline_at)
  })

  test('an unknown execution is refused', async () => {
    const unknown = randomUUID()
    await expectRefused(unknown, 10, 'a large import', { code: 'FW005', message: `there is no execution ${unknown}` })
    await expectRefused(null, 10, 'a large import', { code: 'FW005', message: 'there is no execution NULL' })
  })

  test('one that has not started is refused: it has no deadline yet', async () => {
    const { id } = await scene(database)
    await expectRefused(id, 10, 'a large import', {
      code: 'FW004',
      message: `execution ${id} is queued and has no deadline to extend`,
      hint: 'A deadline is set when the first attempt starts.',
    })
  })

  test('one that waits is refused: its deadline stands still, and how much is left is told', async () => {
    const { id, x, held } = await running(database)
    await invoke(database, x, held, [])
    await expectRefused(id, 10, 'a large import', {
      code: 'FW004',
      message: `execution ${id} is waiting and has no deadline to extend`,
      hint: expect.stringMatching(/^Its deadline stands still while it waits, with 00:59:5\d left, and is set again when it goes on: extend it then\.$/) as unknown,
    })
  })

  test('one that has completed is refused', async () => {
    const { x, id, held } = await running(database)
    await report(database, x, [held])
    await expectRefused(id, 10, 'a large import', { code: 'FW004', message: `execution ${id} is completed and has no deadline to extend` })
  })

  test('one that was cancelled is refused', async () => {
    const { id } = await running(database, { on_timeout: 'cancel' })
    await deadlineIn(database, id, -1)
    await check(database)
    await expectRefused(id, 10, 'a large import', { code: 'FW004', message: `execution ${id} is cancelled and has no deadline to extend` })
  })

  test.each(['failed', 'timed_out'])('one that has %s is refused, and what starts it again is named', async (status) => {
    const { x, id, held } = await running(database, { on_timeout: 'fail' })
    if (status === 'failed') await deadLetter(database, x, held)
    else {
      await deadlineIn(database, id, -1)
      await check(database)
    }
    expect(await execution(database, id)).toMatchObject({ status })
    await expectRefused(id, 10, 'a large import', {
      code: 'FW004',
      message: `execution ${id} is ${status} and has no deadline to extend`,
      hint: 'fw_dlq_retry starts it again, with a new deadline.',
    })
  })
})
