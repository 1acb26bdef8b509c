import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { listening } from '../../support/listening.js'
import { checkpoint, claim, claimOne, contents, deadLetter, enqueue, execution, expireLeases, extend, messages, one, type Policy, release, report, reportFailures, sendRaw, sqlDatabase } from '../../support/sql.js'
import { check, deadlineIn, deadlines, isRunning, notices, outcomesOf, running, scene, type Scene } from './scene.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

/** The ways in which a started execution can wait for its end. */
const STATES: [string, (timeout: Policy) => Promise<Scene>][] = [
  ['running', (timeout) => running(database, timeout)],
  [
    'retry_pending',
    async (timeout) => {
      const made = await running(database, timeout)
      await reportFailures(database, made.x, [{ ...made.held, delayMs: 3_600_000 }])
      expect(await execution(database, made.id)).toMatchObject({ status: 'retry_pending' })
      return made
    },
  ],
  [
    'queued after a release',
    async (timeout) => {
      const made = await running(database, timeout)
      expect(await release(database, made.x, [made.held])).toEqual([])
      expect(await execution(database, made.id)).toMatchObject({ status: 'queued' })
      return made
    },
  ],
]

const deadLetters = (id: string) => database.query<{ msg_id: string }>('select * from public.fw_dlq where execution_id = $1', [id])

const REASON = 'the deadline passed before the execution had finished (timeout 30 minutes)'

describe.each(STATES)('a missed deadline of one that is %s', (_, make) => {
  test('with fail: timed_out, and a dead letter that can be retried with a new deadline', async () => {
    const { x, id, organizationId } = await make({ on_timeout: 'fail', timeout_minutes: 30 })
    await deadlineIn(database, id, -1)
    expect(await check(database)).toEqual([{ execution_id: id, organization_id: organizationId, outcome: 'fail' }])
    expect(await execution(database, id)).toMatchObject({
      status: 'timed_out',
      last_error: REASON,
      error_category: 'TIMEOUT',
      next_retry_at: null,
      completed_at: expect.any(Date) as unknown,
    })
    expect(await messages(database, organizationId)).toEqual([])
    expect(await isRunning(database, organizationId)).toBe(false)
    const letter = one(await deadLetters(id))
    expect(letter).toMatchObject({ error: REASON, error_category: 'TIMEOUT', rejected: false, organization_id: organizationId })
    await expectInvariantsZero(database.pool)
    await database.query('select public.fw_dlq_retry($1)', [letter.msg_id])
    expect(await deadLetters(id)).toEqual([])
    const again = await claimOne(database, x)
    expect(again).toMatchObject({ execution_id: id, attempt: 1 })
    expect((await deadlines(database, id)).deadline_at?.getTime()).toBeGreaterThan(Date.now())
    expect(await check(database)).toEqual([])
    expect(await report(database, x, [again])).toEqual([])
  })

  test('with cancel: cancelled with the reason, and no message left', async () => {
    const { id, organizationId } = await make({ on_timeout: 'cancel', timeout_minutes: 30 })
    await deadlineIn(database, id, -1)
    expect(await check(database)).toEqual([{ execution_id: id, organization_id: organizationId, outcome: 'cancel' }])
    expect(await execution(database, id)).toMatchObject({ status: 'cancelled', last_error: REASON, dlq_msg_id: null, next_retry_at: null })
    expect(await messages(database, organizationId)).toEqual([])
    expect(await deadLetters(id)).toEqual([])
    expect(await notices(database, id)).toEqual([])
    expect(await isRunning(database, organizationId)).toBe(false)
  })

  test('with escalate: timed_out with a notice, which listeners hear', async () => {
    const { id, organizationId } = await make({ on_timeout: 'escalate', timeout_minutes: 30 })
    await deadlineIn(database, id, -1)
    await listening(database, ['fw_notice'], async ({ heard }) => {
      expect(await check(database)).toEqual([{ execution_id: id, organization_id: organizationId, outcome: 'escalate' }])
      const notice = one(await notices(database, id))
      expect(notice).toMatchObject({ kind: 'timed_out', organization_id: organizationId, message: 'an execution missed its deadline and was ended as timed_out' })
      expect((await heard('fw_notice')).map((payload) => JSON.parse(payload) as unknown)).toEqual([
        { id: Number(notice.id), kind: 'timed_out', organization_id: organizationId, execution_id: id, message: notice.message },
      ])
    })
    expect(await execution(database, id)).toMatchObject({ status: 'timed_out', last_error: REASON, dlq_msg_id: null })
    expect(await messages(database, organizationId)).toEqual([])
    expect(await deadLetters(id)).toEqual([])
    expect(await isRunning(database, organizationId)).toBe(false)
    expect(await check(database)).toEqual([])
  })

  test('is ended for an organization whose worker is disabled', async () => {
    const { id, organizationId } = await make({ on_timeout: 'cancel' })
    await database.query('select public.fw_save_worker_settings($1, false)', [organizationId])
    await deadlineIn(database, id, -1)
    expect(outcomesOf(await check(database), id)).toEqual(['cancel'])
  })
})

describe('one that runs when its deadline passes', () => {
  test.each(['fail', 'cancel', 'escalate'] as const)('loses its place (%s): no write of its executor changes anything', async (on_timeout) => {
    const { x, id, held } = await running(database, { on_timeout })
    await deadlineIn(database, id, -1)
    await check(database)
    const before = await contents(database)
    expect(await report(database, x, [{ ...held, output: 'late', completed: [{ name: 'a', index: 0, output: 1 }] }])).toEqual([id])
    expect(await reportFailures(database, x, [{ ...held, permanent: true }])).toEqual({ [id]: 'fenced' })
    expect(await release(database, x, [held])).toEqual([id])
    expect(await extend(database, x, [held])).toEqual([held.batch_id])
    await expect(checkpoint(database, x, held, { name: 'a', index: 0, output: 1 })).rejects.toMatchObject({ code: 'FW001' })
    expect(await contents(database)).toEqual(before)
    expect(await claim(database, x)).toEqual([])
  })

  test('is told to its executor by NOTIFY fw_batch, and to whoever asks', async () => {
    const { x, id, held } = await running(database, { on_timeout: 'cancel', timeout_minutes: 3 })
    await deadlineIn(database, id, -1)
    const reason = 'the deadline passed before the execution had finished (timeout 3 minutes)'
    const ended = () => database.query('select * from public.fw_ended_executions($1::uuid[], $2::uuid[])', [[id], [held.batch_id]])
    expect(await ended()).toEqual([])
    await listening(database, ['fw_batch'], async ({ heard }) => {
      await check(database)
      expect((await heard()).map((line) => JSON.parse(line.replace('fw_batch ', '')) as unknown)).toEqual([
        { execution_id: id, batch_id: held.batch_id, reason },
      ])
    })
    expect(await ended()).toEqual([{ execution_id: id, batch_id: held.batch_id, reason }])
    expect(await report(database, x, [held])).toEqual([id])
  })

  test('leaves the others of its batch alone, and its place is free for the next', async () => {
    const { name, organizationId, x, id } = await scene(database, { on_timeout: 'fail' }, { batchSize: 3 })
    await enqueue(database, name, organizationId, 5)
    const held = await claim(database, x)
    expect(held).toHaveLength(3)
    expect(await claim(database, x)).toEqual([])
    await deadlineIn(database, id, -1)
    await check(database)
    expect(await isRunning(database, organizationId)).toBe(true)
    expect(one(await database.query('select size, open, dead_lettered, stopped, finished_at from public.fw_worker_runs where id = $1', [held[0]?.batch_id]))).toEqual({
      size: 3,
      open: 2,
      dead_lettered: 1,
      stopped: 0,
      finished_at: null,
    })
    const next = await claim(database, x)
    expect(next).toHaveLength(1)
    expect(await report(database, x, held)).toEqual([id])
    expect(await report(database, x, next)).toEqual([])
  })

  test('counts as stopped in its batch, and in the next tick as processed, where it leaves no dead letter', async () => {
    await database.query('select public.fw_worker_tick()')
    const { organizationId, id, held } = await running(database, { on_timeout: 'cancel' })
    await deadlineIn(database, id, -1)
    await check(database)
    expect(one(await database.query('select open, dead_lettered, stopped from public.fw_worker_runs where id = $1', [held.batch_id]))).toEqual({
      open: 0,
      dead_lettered: 0,
      stopped: 1,
    })
    const rows = await database.query('select organization_id, messages_processed, succeeded, failed, dlq_routed, errors from public.fw_worker_tick()')
    expect(rows).toEqual([{ organization_id: organizationId, messages_processed: '1', succeeded: '0', failed: '0', dlq_routed: '0', errors: [] }])
  })

  test('is ended also after its lease has run out and before anybody has reaped it', async () => {
    const { id, held } = await running(database, { on_timeout: 'cancel' })
    await expireLeases(database, [held])
    await deadlineIn(database, id, -1)
    expect(outcomesOf(await check(database), id)).toEqual(['cancel'])
    expect(await database.query('select * from public.fw_reap_expired_batches()')).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'cancelled' })
  })
})

describe('what has not missed a deadline', () => {
  test('is left alone: not started, in time, or finished', async () => {
    const waiting = await scene(database)
    const inTime = await running(database)
    const done = await running(database)
    await deadlineIn(database, done.id, -1)
    await report(database, done.x, [done.held])
    const failed = await running(database)
    await deadlineIn(database, failed.id, -1)
    await deadLetter(database, failed.x, failed.held)
    expect(await check(database)).toEqual([])
    expect(await execution(database, waiting.id)).toMatchObject({ status: 'queued' })
    expect(await execution(database, inTime.id)).toMatchObject({ status: 'running' })
    expect(await execution(database, done.id)).toMatchObject({ status: 'completed' })
    expect(await execution(database, failed.id)).toMatchObject({ status: 'failed' })
  })

  test('is not found through a message that only names it', async () => {
    const { organizationId, id } = await running(database)
    await deadlineIn(database, id, -1)
    await sendRaw(database, { execution_id: id, organization_id: organizationId, attempt: 1 })
    expect(await check(database)).toHaveLength(1)
    await database.query("delete from pgmq.q_workflow_execution_queue where message ->> 'execution_id' = $1", [id])
  })
})

test('the three outcomes of many at once, each as its workflow says, at most as many as asked for in a call', async () => {
  const scenes = await Promise.all((['fail', 'cancel', 'escalate'] as const).map((on_timeout) => scene(database, { on_timeout })))
  for (const made of scenes) {
    await enqueue(database, made.name, made.organizationId, 4)
    for (const { execution_id } of await claim(database, made.x)) await deadlineIn(database, execution_id, -1)
  }
  const rows = await check(database, 10)
  expect(rows).toHaveLength(10)
  rows.push(...(await check(database, 10)))
  expect(rows).toHaveLength(15)
  for (const [at, made] of scenes.entries()) {
    const outcome = ['fail', 'cancel', 'escalate'][at]
    expect(rows.filter((row) => row.organization_id === made.organizationId).map((row) => row.outcome)).toEqual(Array.from({ length: 5 }, () => outcome))
    const states = await database.query('select distinct status::text, dlq_msg_id is not null as dead from public.fw_workflow_executions where organization_id = $1', [made.organizationId])
    expect(states).toEqual([{ status: outcome === 'cancel' ? 'cancelled' : 'timed_out', dead: outcome === 'fail' }])
  }
  expect(await check(database)).toEqual([])
})
