import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { claim, claimOne, deadLetter, enqueue, execution, executor, expireLeases, makeVisible, one, organization, release, reportFailures, sqlDatabase } from '../../support/sql.js'
import { deadlineIn, deadlines, minutesToDeadline, running, scene } from './scene.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

describe('the deadline of an execution', () => {
  test('is 60 minutes after its first start where its workflow says nothing', async () => {
    const { x, id } = await scene(database)
    expect(await deadlines(database, id)).toEqual({ deadline_at: null, deadline_warned_at: null, started_at: null })
    await claimOne(database, x)
    expect(await minutesToDeadline(database, id)).toBe(60)
  })

  test.each([1, 7, 1440])('is as far off as its workflow says: %i minutes', async (timeout_minutes) => {
    const { id } = await running(database, { timeout_minutes })
    expect(await minutesToDeadline(database, id)).toBe(timeout_minutes)
  })

  test('is that of its own workflow where a claim takes several', async () => {
    const organizationId = await organization(database)
    const [long, short] = [await scene(database, { timeout_minutes: 90 }), await scene(database, { timeout_minutes: 2 })]
    const ids = [one(await enqueue(database, long.name, organizationId)), one(await enqueue(database, short.name, organizationId))]
    const both = one(
      await database.query<{ id: string }>("select public.fw_register_executor('both', $1) as id", [
        JSON.stringify([
          { name: long.name, timeout_minutes: 90 },
          { name: short.name, timeout_minutes: 2 },
        ]),
      ]),
    ).id
    await claim(database, both)
    expect(await Promise.all(ids.map((id) => minutesToDeadline(database, id)))).toEqual([90, 2])
  })

  test('is set by the offer of a tick as well', async () => {
    const { id } = await scene(database, { timeout_minutes: 5 })
    await database.query('select public.fw_offer_batches()')
    expect(await minutesToDeadline(database, id)).toBe(5)
  })

  test('is not moved by later attempts, by a release, or by another timeout of the workflow', async () => {
    const { name, x, id, held } = await running(database, { timeout_minutes: 10, backoff_initial_ms: 0 })
    const first = await deadlines(database, id)
    await reportFailures(database, x, [{ ...held, delayMs: 0 }])
    expect(await deadlines(database, id)).toEqual(first)
    const second = await claimOne(database, x)
    expect(second.attempt).toBe(2)
    await release(database, x, [second])
    await executor(database, name, { timeout_minutes: 99 })
    const third = await claimOne(database, x)
    await expireLeases(database, [third])
    await makeVisible(database, [id])
    await claimOne(database, x)
    expect(await execution(database, id)).toMatchObject({ status: 'running', retry_count: 2 })
    expect(await deadlines(database, id)).toEqual(first)
  })

  test('is a new one when a dead letter is retried', async () => {
    const { x, id, held } = await running(database, { timeout_minutes: 10 })
    await deadlineIn(database, id, -3)
    const letter = await deadLetter(database, x, held)
    await database.query('select public.fw_dlq_retry($1)', [letter])
    expect(await deadlines(database, id)).toMatchObject({ deadline_at: null })
    await claimOne(database, x)
    const { left } = one(await database.query<{ left: string }>("select round(extract(epoch from deadline_at - now()) / 60) as left from public.fw_workflow_executions where id = $1", [id]))
    expect(Number(left)).toBe(10)
  })

  test("is a new one when a dead letter is put back by the guide's own statements", async () => {
    const { x, id, held } = await running(database, { timeout_minutes: 10 })
    await deadlineIn(database, id, -3)
    const letter = await deadLetter(database, x, held)
    await database.query(
      `with dlq_msg as (select message from pgmq.q_workflow_dlq where msg_id = $1)
       select pgmq.send('workflow_execution_queue', jsonb_set(message, '{attempt}', '1'::jsonb)) from dlq_msg`,
      [letter],
    )
    await database.query("select pgmq.delete('workflow_dlq', $1::bigint)", [letter])
    expect([...(await claim(database, x)), ...(await claim(database, x))]).toHaveLength(1)
    const { left } = one(await database.query<{ left: string }>("select round(extract(epoch from deadline_at - now()) / 60) as left from public.fw_workflow_executions where id = $1", [id]))
    expect(Number(left)).toBe(10)
  })
})

describe('the timeout of a workflow', () => {
  test.each([
    ['timeout_minutes', 0],
    ['timeout_minutes', 1441],
    ['warn_percent', 49],
    ['warn_percent', 100],
    ['on_timeout', 'explode'],
  ])('is refused out of range: %s %s', async (field, value) => {
    const registered = database.query("select public.fw_register_executor('test', $1)", [JSON.stringify([{ name: 'out-of-range', [field]: value }])])
    await expect(registered).rejects.toMatchObject({ code: '22023', message: 'a workflow has a name, a retry policy or a timeout out of range' })
    expect(await database.query("select from public.fw_workflows where name = 'out-of-range'")).toEqual([])
  })
})
