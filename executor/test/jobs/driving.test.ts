import { expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, until, untilStatus } from '../support/executor.js'
import { sendRaw } from '../support/sql.js'

const database = executorDatabase()
const echo = workflow({ name: 'echo', input: z.object({}) }, () => 'echoed')

interface Job extends Record<string, unknown> {
  name: string
  last_started_at: Date | null
  last_driver: string | null
}
const jobs = () => database.query<Job>('select * from public.fw_jobs order by name')
/** As if the jobs had not run for a day. */
const makeDue = () => database.query("update public.fw_jobs set last_started_at = now() - interval '1 day' - interval '1 second', last_driver = null, last_duration = null")
const ticks = async () => (await database.query<{ driver: string }>('select driver from public.fw_worker_ticks order by id')).map(({ driver }) => driver)

test('where there is no pg_cron, one of the executors runs every job that is due, and fw_health says so', async () => {
  await database.query('truncate public.fw_worker_ticks')
  await makeDue()
  await database.start(echo, { name: 'first' })
  await database.start(echo, { name: 'second' })
  await until('all have run', async () => (await jobs()).every(({ last_driver }) => last_driver !== null))
  const drivers = (await jobs()).map(({ last_driver }) => last_driver)
  expect(drivers.every((driver) => driver === 'executor first' || driver === 'executor second')).toBe(true)
  expect(await ticks()).toHaveLength(1)
  const health = await database.query<{ subject: string; is_ok: boolean; detail: string }>('select * from public.fw_health()')
  expect(health.find(({ subject }) => subject === 'tick')).toMatchObject({ is_ok: true, detail: expect.stringMatching(/by executor (first|second)$/) as unknown })
  expect(health.find(({ subject }) => subject === 'driver')?.detail).toContain('one of the executors runs the jobs')
})

test('a job that fails is told in the log and leaves the others to run', async () => {
  const told: { job?: string }[] = []
  const logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: (fields: { job?: string }) => void told.push(fields) }
  await database.query("create function fail() returns trigger language plpgsql as $$ begin raise exception 'no tick today'; end $$")
  await database.query('create trigger fail before insert on public.fw_worker_ticks for each row execute function fail()')
  try {
    await makeDue()
    await database.start(echo, { logger })
    await until('the others have run', async () => (await jobs()).filter(({ last_driver }) => last_driver !== null).length === 4)
    expect(told.map(({ job }) => job)).toEqual(['process-workflow-queue'])
  } finally {
    await database.query('drop function fail() cascade')
  }
})

test('work that no NOTIFY told of is started by the tick, without a poll of the executor', async () => {
  const organizationId = await database.organization()
  const executor = await database.start(echo, { pollInterval: '1h' })
  await until('it is idle', async () => (await database.query('select 1 from public.fw_executors where wants_work and stopped_at is null')).length === 1)
  const [id] = await database.client.enqueueMany(echo, [{}], { organizationId, delay: '2s' })
  // It is visible by now, but nothing tells the executor of it.
  await until('it waits', async () => (await database.query('select 1 from public.fw_waiting_organizations()')).length === 1)
  expect(executor.stats.claimed).toBe(0)
  await makeDue()
  expect(await database.client.result(id ?? '')).toBe('echoed')
})

test('of a redrive by hand, which sends no NOTIFY, the tick is the wake-up', async () => {
  const organizationId = await database.organization()
  await database.start(echo, { pollInterval: '1h' })
  const id = await database.client.enqueue(echo, {}, { organizationId })
  await database.client.result(id)
  await database.query("update public.fw_workflow_executions set status = 'failed', output = null, discarded_at = now() where id = $1", [id])
  await sendRaw(database, { execution_id: id, organization_id: organizationId, attempt: 1 })
  await makeDue()
  await untilStatus(database, id, 'completed')
})
