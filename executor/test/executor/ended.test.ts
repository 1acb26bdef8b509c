import { expect, test } from 'vitest'
import { z } from 'zod'
import { ExecutionEndedError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, gate, shortLeases, until, untilStatus } from '../support/executor.js'
import { execution, messages } from '../support/sql.js'

const database = executorDatabase()

/** A step that only its signal ends; the reasons that it saw. */
function endless(name: string, options: { onTimeout?: 'fail' | 'cancel' | 'escalate' } = {}) {
  const running = gate()
  const reasons: unknown[] = []
  const definition = workflow({ name, input: z.object({}), ...options }, async (ctx) => {
    await ctx.step('wait', async ({ signal }) => {
      running.open()
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve)
      })
      reasons.push(signal.reason)
    })
  })
  return { definition, running, reasons }
}

const miss = (id: string) => database.query("update public.fw_workflow_executions set deadline_at = now() - interval '1 second' where id = $1", [id])

/** Until it is over: a call does nothing while the executor's own run of the watchdog is under way. */
const watch = (id: string) =>
  until('the watchdog has ended it', async () => {
    await database.query('select public.fw_check_deadlines()')
    return (await execution(database, id)).status !== 'running'
  })

/** As fw_end_executions does, without its NOTIFY. */
async function endUnheard(id: string) {
  await database.query(
    `with ended as (
       update public.fw_workflow_executions set status = 'cancelled', completed_at = now(), last_error = 'by hand' where id = $1 returning msg_id, batch_id
     ), gone as (
       delete from pgmq.q_workflow_execution_queue q using ended where q.msg_id = ended.msg_id
     )
     update public.fw_worker_runs r set open = open - 1, stopped = stopped + 1, finished_at = case when open = 1 then now() end from ended where r.id = ended.batch_id`,
    [id],
  )
  await database.query('select public.fw_release_semaphores(array(select organization_id from public.fw_workflow_executions where id = $1))', [id])
}

test('a handler whose execution misses its deadline is aborted at once, and what it says later is not written', async () => {
  const organizationId = await database.organization()
  const { definition, running, reasons } = endless('late')
  const executor = await database.start(definition)
  const id = await database.client.enqueue(definition, {}, { organizationId })
  await running.opened
  await miss(id)
  await watch(id)
  await until('it is told', () => reasons.length === 1)
  expect(reasons[0]).toBeInstanceOf(ExecutionEndedError)
  expect((reasons[0] as Error).message).toContain('the deadline passed')
  await until('its place is free', () => executor.stats.inFlight === 0)
  expect(executor.stats).toMatchObject({ ended: 1, fenced: 0, completed: 0 })
  await executor.stop()
  expect(await execution(database, id)).toMatchObject({ status: 'timed_out', error_category: 'TIMEOUT' })
  await expect(database.client.result(id)).rejects.toMatchObject({ code: 'EXECUTION_FAILED', status: 'timed_out' })
  expect(await messages(database, organizationId)).toEqual([])
})

test('one that was not told, because the NOTIFY was lost, hears it when its lease is extended', async () => {
  const organizationId = await database.organization()
  await shortLeases(database, organizationId, 6)
  const { definition, running, reasons } = endless('deaf', { onTimeout: 'cancel' })
  const neighbour = endless('neighbour')
  // Both are there before the executor is, so one batch brings them.
  const id = await database.client.enqueue(definition, {}, { organizationId })
  const other = await database.client.enqueue(neighbour.definition, {}, { organizationId })
  const executor = await database.start([definition, neighbour.definition])
  await Promise.all([running.opened, neighbour.running.opened])
  await endUnheard(id)
  await until('it is told', () => reasons.length === 1)
  expect((reasons[0] as Error).message).toContain('by hand')
  expect(neighbour.reasons).toEqual([])
  expect(await execution(database, other)).toMatchObject({ status: 'running' })
  expect(executor.stats).toMatchObject({ ended: 1, fenced: 0, inFlight: 1 })
})

test('one that was not told, and with which its batch ended, hears why, not that its lease was lost', async () => {
  const organizationId = await database.organization()
  await shortLeases(database, organizationId, 6)
  const { definition, running, reasons } = endless('deaf and alone')
  const executor = await database.start(definition)
  const id = await database.client.enqueue(definition, {}, { organizationId })
  await running.opened
  await endUnheard(id)
  await until('it is told', () => reasons.length === 1)
  expect(reasons[0]).toBeInstanceOf(ExecutionEndedError)
  expect((reasons[0] as Error).message).toContain('by hand')
  await until('its place is free', () => executor.stats.inFlight === 0)
  expect(executor.stats).toMatchObject({ ended: 1, fenced: 0 })
})

test('the place of an ended execution is filled with waiting work at once', async () => {
  const organizationId = await database.organization()
  const { definition, running } = endless('in the way')
  const quick = workflow({ name: 'quick', input: z.object({}) }, () => 'done')
  await database.start([definition, quick], { concurrency: 1, pollInterval: '1h' })
  const id = await database.client.enqueue(definition, {}, { organizationId })
  await running.opened
  const next = await database.client.enqueue(quick, {}, { organizationId })
  await miss(id)
  await watch(id)
  expect(await database.client.result(next)).toBe('done')
  await untilStatus(database, id, 'timed_out')
})
