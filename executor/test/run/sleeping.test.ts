import { expect, test } from 'vitest'
import { z } from 'zod'
import { UsageError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, stepNames, until, untilStatus } from '../support/executor.js'
import { execution, one } from '../support/sql.js'

const database = executorDatabase()
const nothing = z.object({})

const wakeTime = async (id: string) =>
  one(
    await database.query<{ vt: Date; wake_at: Date }>(
      `select q.vt, s.wake_at from public.fw_workflow_executions e join pgmq.q_workflow_execution_queue q on q.msg_id = e.msg_id
       join public.fw_execution_steps s on s.execution_id = e.id and s.status = 'waiting' where e.id = $1`,
      [id],
    ),
  )

test('a sleep holds no place, survives the executor, and wakes on time with the results of earlier steps', async () => {
  const organizationId = await database.organization({ batchSize: 1, concurrency: 1 })
  const ran: string[] = []
  const sleeper = workflow({ name: 'sleeper', input: nothing }, async (ctx) => {
    const before = await ctx.step('before', () => ran.push('before'))
    await ctx.sleep('3s')
    await ctx.step('after', () => ran.push('after'))
    return { before, attempt: ctx.attempt }
  })
  const quick = workflow({ name: 'quick', input: nothing }, () => 'done')
  const first = await database.start([sleeper, quick])
  const id = await database.client.enqueue(sleeper, {}, { organizationId })
  await untilStatus(database, id, 'waiting')
  const { vt, wake_at: wakeAt } = await wakeTime(id)
  expect(vt).toEqual(wakeAt)
  expect(first.stats).toMatchObject({ waiting: 1, inFlight: 0 })
  // The only place of the organization is free.
  expect(await database.client.result(await database.client.enqueue(quick, {}, { organizationId }))).toBe('done')
  await first.stop()
  await database.start([sleeper, quick])
  expect(await database.client.result(id)).toEqual({ before: 1, attempt: 1 })
  expect(ran).toEqual(['before', 'after'])
  expect((await execution(database, id)).completed_at?.getTime()).toBeGreaterThanOrEqual(wakeAt.getTime())
  expect(await stepNames(database, id)).toEqual(['before', 'sleep', 'after'])
})

test('an idle executor wakes it without a poll', async () => {
  const organizationId = await database.organization()
  const nap = workflow({ name: 'nap', input: nothing }, async (ctx) => {
    await ctx.sleep('500ms')
    await ctx.sleep('200ms')
    return 'rested'
  })
  await database.start(nap, { pollInterval: '1h' })
  expect(await database.client.result(await database.client.enqueue(nap, {}, { organizationId }))).toBe('rested')
})

test('a sleep until a time that has passed is no wait for long, and one until later waits for it', async () => {
  const organizationId = await database.organization()
  const punctual = workflow({ name: 'punctual', input: z.object({ at: z.string() }) }, async (ctx, { at }) => {
    await ctx.sleepUntil(new Date(at))
    return 'on time'
  })
  await database.start(punctual)
  const past = await database.client.enqueue(punctual, { at: '2001-01-01T00:00:00Z' }, { organizationId })
  expect(await database.client.result(past)).toBe('on time')
  const future = new Date(Date.now() + 3_600_000)
  const later = await database.client.enqueue(punctual, { at: future.toISOString() }, { organizationId })
  await untilStatus(database, later, 'waiting')
  expect((await wakeTime(later)).wake_at).toEqual(future)
})

test('a sleep beside a step waits for both, and the step runs once', async () => {
  const organizationId = await database.organization()
  let runs = 0
  const both = workflow({ name: 'both', input: nothing }, async (ctx) => {
    const [, result] = await Promise.all([ctx.sleep('1s'), ctx.step('work', () => ++runs)])
    return result
  })
  await database.start(both)
  expect(await database.client.result(await database.client.enqueue(both, {}, { organizationId }))).toBe(1)
  expect(runs).toBe(1)
})

test('two sleeps side by side each keep the time that was set first', async () => {
  const organizationId = await database.organization()
  const pair = workflow({ name: 'pair', input: nothing }, async (ctx) => {
    await Promise.all([ctx.sleep('1s'), ctx.sleep('1h')])
  })
  await database.start(pair)
  const id = await database.client.enqueue(pair, {}, { organizationId })
  await untilStatus(database, id, 'waiting')
  const long = async () => one(await database.query<{ wake_at: Date }>("select wake_at from public.fw_execution_steps where execution_id = $1 and node_id = 'sleep#2'", [id])).wake_at
  const set = await long()
  await until('the short one is over', async () => (await stepNames(database, id)).length === 2 && (await execution(database, id)).status === 'waiting'
    && (await database.query("select 1 from public.fw_execution_steps where execution_id = $1 and status = 'completed'", [id])).length === 1)
  await untilStatus(database, id, 'waiting')
  expect(await long()).toEqual(set)
  expect((await wakeTime(id)).vt).toEqual(set)
})

test.each(['-1s', '30y', Infinity, NaN, 'soon'])('a sleep of %s is refused with the limit, and the execution is dead-lettered', async (duration) => {
  const organizationId = await database.organization()
  const wrong = workflow({ name: 'wrong', input: nothing }, async (ctx) => {
    await expect(ctx.sleep(duration as '1s')).rejects.toThrow(UsageError)
    await ctx.sleep(duration as '1s')
  })
  const executor = await database.start(wrong)
  const id = await database.client.enqueue(wrong, {}, { organizationId })
  await expect(database.client.result(id)).rejects.toThrow('allowed are 0 to 10 years')
  await executor.stop()
})

test('time that an execution waits does not count for its deadline', async () => {
  const organizationId = await database.organization()
  const patient = workflow({ name: 'patient', input: nothing, timeout: '10m' }, async (ctx) => {
    await ctx.step('before', () => 1)
    await ctx.sleep('1h')
    await ctx.step('after', () => new Promise((resolve) => ctx.signal.addEventListener('abort', resolve)))
  })
  await database.start(patient)
  const id = await database.client.enqueue(patient, {}, { organizationId })
  await untilStatus(database, id, 'waiting')
  expect(await database.query('select * from public.fw_check_deadlines()')).toEqual([])
  const [waiting] = await database.query<{ deadline_at: Date | null; left: number }>(
    'select deadline_at, extract(epoch from deadline_left)::float as left from public.fw_workflow_executions where id = $1', [id])
  expect(waiting?.deadline_at).toBeNull()
  expect(waiting?.left).toBeGreaterThan(590)
  // An hour later.
  await database.query("update public.fw_execution_steps set wake_at = now() where execution_id = $1 and status = 'waiting'", [id])
  await database.query('update pgmq.q_workflow_execution_queue q set vt = now() from public.fw_workflow_executions e where e.id = $1 and q.msg_id = e.msg_id', [id])
  await untilStatus(database, id, 'running')
  const [running] = await database.query<{ left: number }>(
    'select extract(epoch from deadline_at - now())::float as left from public.fw_workflow_executions where id = $1', [id])
  expect(running?.left).toBeGreaterThan(570)
  expect(running?.left).toBeLessThanOrEqual(600)
})

test('a failed attempt after a sleep does not sleep again', async () => {
  const organizationId = await database.organization()
  let tries = 0
  const shaky = workflow({ name: 'shaky', input: nothing, retry: { backoff: { initial: 0 } } }, async (ctx) => {
    await ctx.sleep('1s')
    if (++tries === 1) throw new Error('once')
    return ctx.attempt
  })
  await database.start(shaky)
  const id = await database.client.enqueue(shaky, {}, { organizationId })
  expect(await database.client.result(id)).toBe(2)
  expect(await database.query("select 1 from public.fw_execution_steps where execution_id = $1", [id])).toHaveLength(1)
})
