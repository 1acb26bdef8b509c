import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { listening } from '../../support/listening.js'
import { execution, one, report, reportFailures, sqlDatabase, withSessions } from '../../support/sql.js'
import { check, deadlineIn, deadlines, notices, outcomesOf, running } from './scene.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

describe('the warning that a deadline is near', () => {
  test('is given once, at 80 % of the timeout, and heard by listeners', async () => {
    const { id, organizationId } = await running(database, { timeout_minutes: 100 })
    await deadlineIn(database, id, 20.5)
    expect(await check(database)).toEqual([])
    expect(await notices(database, id)).toEqual([])
    await deadlineIn(database, id, 20)
    await listening(database, ['fw_notice'], async ({ heard }) => {
      expect(await check(database)).toEqual([{ execution_id: id, organization_id: organizationId, outcome: 'warned' }])
      const notice = one(await notices(database, id))
      expect(notice).toMatchObject({ kind: 'deadline_near', organization_id: organizationId })
      const { deadline_at } = await deadlines(database, id)
      const until = deadline_at?.toISOString().slice(0, 19).replace('T', ' ')
      expect(notice.message).toBe(`an execution has until ${until ?? ''} UTC to finish`)
      expect((await heard('fw_notice')).map((payload) => JSON.parse(payload) as unknown)).toEqual([
        { id: Number(notice.id), kind: 'deadline_near', organization_id: organizationId, execution_id: id, message: notice.message },
      ])
      for (let round = 0; round < 3; round++) expect(await check(database)).toEqual([])
      expect(await heard('fw_notice')).toHaveLength(1)
    })
    expect(await notices(database, id)).toHaveLength(1)
    expect(await deadlines(database, id)).toMatchObject({ deadline_warned_at: expect.any(Date) as unknown })
    expect(await execution(database, id)).toMatchObject({ status: 'running' })
  })

  test.each([50, 99])('is given at the share that the workflow says: %i %', async (warn_percent) => {
    const { id } = await running(database, { timeout_minutes: 1000, warn_percent })
    const left = 1000 - warn_percent * 10
    await deadlineIn(database, id, left + 0.5)
    expect(outcomesOf(await check(database), id)).toEqual([])
    await deadlineIn(database, id, left - 0.5)
    expect(outcomesOf(await check(database), id)).toEqual(['warned'])
  })

  test('is given to one that waits for a retry, and not again when it runs', async () => {
    const { x, id, held } = await running(database)
    await reportFailures(database, x, [{ ...held, delayMs: 0 }])
    await deadlineIn(database, id, 5)
    expect(outcomesOf(await check(database), id)).toEqual(['warned'])
    await database.query("update public.fw_executors set rescanned_at = '-infinity' where id = $1", [x])
    await database.query('select * from public.fw_claim_batches($1, 10)', [x])
    expect(await execution(database, id)).toMatchObject({ status: 'running' })
    expect(await check(database)).toEqual([])
  })

  test('does not keep one from being ended when the deadline passes', async () => {
    const { id } = await running(database, { on_timeout: 'cancel' })
    await deadlineIn(database, id, 5)
    expect(outcomesOf(await check(database), id)).toEqual(['warned'])
    await deadlineIn(database, id, -1)
    expect(outcomesOf(await check(database), id)).toEqual(['cancel'])
  })

  test('is not given where the deadline has passed already', async () => {
    const { id } = await running(database, { on_timeout: 'fail' })
    await deadlineIn(database, id, -1)
    expect(await check(database)).toHaveLength(1)
    expect(await notices(database, id)).toEqual([])
  })

  test('passes over what a report is writing just now, without waiting for it', async () => {
    const { x, id, held } = await running(database)
    await deadlineIn(database, id, 5)
    await withSessions(database, 2, async (reporter, watchdog) => {
      await reporter.query('begin')
      expect(await report(reporter, x, [held])).toEqual([])
      await watchdog.query("set lock_timeout = '1ms'")
      expect(await check(watchdog)).toEqual([])
      await reporter.query('commit')
      expect(await check(watchdog)).toEqual([])
    })
    expect(await notices(database, id)).toEqual([])
  })

  test('is given for at most as many as asked for in a call', async () => {
    const scenes = [await running(database), await running(database), await running(database)]
    for (const { id } of scenes) await deadlineIn(database, id, 5)
    expect(await check(database, 2)).toHaveLength(2)
    expect(await check(database, 2)).toHaveLength(1)
    expect(await check(database, 2)).toHaveLength(0)
  })
})
