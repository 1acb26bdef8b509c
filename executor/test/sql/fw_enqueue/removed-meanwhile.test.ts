import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { one, organization, type Queryable, sqlDatabase, untilBlocked, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

/** An execution that has finished so long ago that retention removes it. */
async function old(name: string, organizationId: string, key: string): Promise<string> {
  return one(await database.query<{ id: string }>(
    `insert into public.fw_workflow_executions (id, workflow_name, organization_id, status, input, msg_id, created_at, completed_at, idempotency_key)
     select (left(public.fw_uuid_at(now() - interval '60 days')::text, 13) || right(gen_random_uuid()::text, 23))::uuid,
       $1, $2, 'completed', '{}', 0, now() - interval '60 days', now() - interval '60 days', $3 returning id`,
    [name, organizationId, key])).id
}

async function scene() {
  const name = workflow()
  const organizationId = await organization(database, { enabled: false })
  return { name, organizationId }
}

const enqueue = async (on: Queryable, name: string, organizationId: string, keys: readonly (string | null)[]): Promise<string[]> =>
  (await on.query<{ id: string }>("select id from public.fw_enqueue_many($1, array_fill('{}'::jsonb, array[cardinality($3::text[])]), $2, $3) as id", [
    name, organizationId, keys,
  ])).map(({ id }) => id)
const retain = (on: Queryable) => on.query('select executions from public.fw_apply_retention()')
const statuses = async (ids: readonly string[]) =>
  Object.fromEntries((await database.query<{ id: string; status: string }>('select id, status from public.fw_workflow_executions where id = any ($1)', [ids])).map(({ id, status }) => [id, status]))

describe('an enqueue whose key belongs to an execution that retention removes', () => {
  test('and whose removal is not committed yet, waits and makes a new one', async () => {
    const { name, organizationId } = await scene()
    const before = await old(name, organizationId, 'k')
    await withSessions(database, 2, async (retention, client) => {
      await retention.query('begin')
      await retain(retention)
      const enqueued = enqueue(client, name, organizationId, ['k'])
      await untilBlocked(database, client)
      await retention.query('commit')
      const id = one(await enqueued)
      expect(id).not.toBe(before)
      expect(await statuses([id])).toEqual({ [id]: 'queued' })
    })
  })

  test('and whose removal is rolled back, gives its id', async () => {
    const { name, organizationId } = await scene()
    const before = await old(name, organizationId, 'k')
    await withSessions(database, 2, async (retention, client) => {
      await retention.query('begin')
      await retain(retention)
      const enqueued = enqueue(client, name, organizationId, ['k'])
      await untilBlocked(database, client)
      await retention.query('rollback')
      expect(await enqueued).toEqual([before])
    })
  })

  test('between its look for the key and its answer, makes a new one', async () => {
    const { name, organizationId } = await scene()
    const before = await old(name, organizationId, 'k')
    await withSessions(database, 3, async (retention, client, other) => {
      // It has met the key 'k' when it waits for 'l'.
      await other.query('begin')
      await enqueue(other, name, organizationId, ['l'])
      const enqueued = enqueue(client, name, organizationId, ['k', 'l', null, 'k'])
      await untilBlocked(database, client)
      await retain(retention)
      expect(await statuses([before])).toEqual({})
      await other.query('commit')
      const ids = await enqueued
      expect(new Set(ids).size).toBe(3)
      expect(ids[3]).toBe(ids[0])
      expect(Object.values(await statuses(ids))).toEqual(['queued', 'queued', 'queued'])
    })
    expect(await database.query("select 1 from pgmq.q_workflow_execution_queue q join public.fw_workflow_executions e on e.msg_id = q.msg_id where e.workflow_name = $1", [name])).toHaveLength(3)
  })

  test('keeps it until it has committed, and retention does not wait for that', async () => {
    const { name, organizationId } = await scene()
    const [before, other] = [await old(name, organizationId, 'k'), await old(name, organizationId, 'l')]
    await withSessions(database, 2, async (retention, client) => {
      await client.query('begin')
      expect(await enqueue(client, name, organizationId, ['k'])).toEqual([before])
      await retention.query("set lock_timeout = '1ms'")
      await retain(retention)
      expect(await statuses([before, other])).toEqual({ [before]: 'completed' })
      await client.query('commit')
      await retain(retention)
      expect(await statuses([before])).toEqual({})
    })
  })
})

test('enqueues and retention at the same time: every id that an enqueue gives is there until it has committed', async () => {
  const { name, organizationId } = await scene()
  const [from, to] = [Date.now() + 2000, Date.now() + 40_000]
  const missing: string[] = []
  let [newest, known, removed] = [0, 0, 0]
  // Until enough of both has happened.
  const goesOn = () => Date.now() < from || ((known < 10 || removed < 10) && Date.now() < to)
  const client = async (session: Queryable) => {
    while (goesOn()) {
      const keys = [...new Set(Array.from({ length: 3 }, () => `key ${Math.max(0, newest - Math.floor(Math.random() * 6))}`))]
      await session.query('begin')
      const ids = await enqueue(session, name, organizationId, keys)
      const there = await session.query<{ status: string }>('select status from public.fw_workflow_executions where id = any ($1::uuid[])', [ids])
      if (there.length < keys.length) missing.push(...ids)
      known += there.filter(({ status }) => status === 'completed').length
      await session.query('commit')
    }
  }
  const age = async () => {
    while (goesOn()) await old(name, organizationId, `key ${++newest}`).catch(() => undefined)
  }
  const remove = async (session: Queryable) => {
    while (goesOn()) removed += Number(one(await session.query<{ executions: string }>('select executions from public.fw_apply_retention()')).executions)
  }
  await withSessions(database, 4, async (a, b, c, d) => {
    await Promise.all([client(a), client(b), client(c), age(), remove(d)])
  })
  expect(missing).toEqual([])
  expect([known >= 10, removed >= 10]).toEqual([true, true])
})
