import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, sessions, terminate, until } from '../support/executor.js'

const database = executorDatabase()
const echo = workflow({ name: 'echo', input: z.object({ n: z.number() }) }, (_, { n }) => n)
const timeout = '20s'
const idle = () => until('the executor is idle', async () => (await database.query('select 1 from public.fw_executors where wants_work')).length === 1)
const listening = () => until('the listener is there', async () => (await sessions(database)).includes('fw listener'))

describe('an idle executor that polls once an hour', () => {
  test('gets work at once by NOTIFY, again and again', async () => {
    const organizationId = await database.organization()
    await database.start(echo, { pollInterval: '1h' })
    await idle()
    for (let n = 0; n < 20; n++) {
      const id = await database.client.enqueue(echo, { n }, { organizationId })
      expect(await database.client.result(id, { timeout })).toBe(n)
      await idle()
    }
  })

  test('gets work of an organization whose worker is switched on only now', async () => {
    const organizationId = await database.organization({ enabled: false })
    await database.start(echo, { pollInterval: '1h' })
    await idle()
    const id = await database.client.enqueue(echo, { n: 1 }, { organizationId })
    await expect(database.client.result(id, { timeout: '300ms' })).rejects.toThrow(/still queued/)
    await database.query('select public.fw_save_worker_settings($1, true)', [organizationId])
    expect(await database.client.result(id, { timeout })).toBe(1)
  })

  test('gets what was enqueued beside its first claim, when nobody was known to wait for it yet', async () => {
    const organizationId = await database.organization()
    await database.query('create function dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(0.5); return new; end $$')
    await database.query('create trigger dawdle before update on public.fw_executors for each row when (new.wants_work) execute function dawdle()')
    await database.start(echo, { pollInterval: '1h' })
    await until('the first claim has looked', async () => (await database.query("select 1 from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()")).length > 0)
    const id = await database.client.enqueue(echo, { n: 1 }, { organizationId })
    await database.query('drop trigger dawdle on public.fw_executors')
    expect(await database.client.result(id, { timeout })).toBe(1)
  })

  test('gets what was enqueued while its listener was away, and listens again', async () => {
    const organizationId = await database.organization()
    await database.start(echo, { pollInterval: '1h' })
    await idle()
    expect(await terminate(database, 'fw listener')).toBe(1)
    const missed = await database.client.enqueue(echo, { n: 1 }, { organizationId })
    expect(await database.client.result(missed, { timeout })).toBe(1)
    await listening()
    await idle()
    const told = await database.client.enqueue(echo, { n: 2 }, { organizationId })
    expect(await database.client.result(told, { timeout })).toBe(2)
  })

  test('tries a failed attempt again when its backoff is over', async () => {
    const organizationId = await database.organization()
    const flaky = workflow({ name: 'flaky', input: z.object({}), retry: { backoff: { initial: 300, max: 300 } } }, (ctx) => {
      if (ctx.attempt < 4) throw new Error('not yet')
      return ctx.attempt
    })
    await database.start(flaky, { pollInterval: '1h' })
    const id = await database.client.enqueue(flaky, {}, { organizationId })
    expect(await database.client.result(id, { timeout })).toBe(4)
  })
})

test('without any NOTIFY, polling finds the work', async () => {
  const organizationId = await database.organization()
  // What a pooler that gives each transaction another session makes of LISTEN.
  await database.query("create or replace function public.fw_wake_executors(p_organization_id uuid) returns void language sql as ''")
  await database.start(echo, { pollInterval: '200ms' })
  await idle()
  for (let n = 0; n < 3; n++) {
    const id = await database.client.enqueue(echo, { n }, { organizationId })
    expect(await database.client.result(id, { timeout })).toBe(n)
  }
})
