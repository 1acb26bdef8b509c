import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { claim, executor, messages, one, organization, type Queryable, sqlDatabase, untilBlocked, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function enqueueMany(on: Queryable, name: string, organizationId: string, inputs: unknown[], keys: (string | null)[] | null = null) {
  const rows = await on.query<{ id: string }>('select id from public.fw_enqueue_many($1, $2::jsonb[], $3, $4::text[]) as id', [
    name,
    inputs.map((input) => JSON.stringify(input)),
    organizationId,
    keys,
  ])
  return rows.map(({ id }) => id)
}

async function inputsOf(ids: string[]): Promise<unknown[]> {
  const rows = await database.query<{ input: unknown }>(
    'select e.input from unnest($1::uuid[]) with ordinality as i (id, at) join public.fw_workflow_executions e using (id) order by at',
    [ids],
  )
  return rows.map(({ input }) => input)
}

describe('fw_enqueue_many', () => {
  test('returns the ids in the order of the inputs', async () => {
    const organizationId = await organization(database)
    const inputs = Array.from({ length: 100 }, (_, n) => ({ n }))
    const ids = await enqueueMany(database, workflow(), organizationId, inputs)
    expect(await inputsOf(ids)).toEqual(inputs)
    expect(await messages(database, organizationId)).toHaveLength(100)
  })

  test('has its executions started in the order of the inputs, a few at a time', async () => {
    const organizationId = await organization(database, { batchSize: 10, concurrency: 10 })
    const name = workflow()
    const x = await executor(database, name)
    const ids = await enqueueMany(database, name, organizationId, Array.from({ length: 30 }, (_, n) => n))
    const started = []
    for (let claims = 0; claims < 3; claims++) started.push(...(await claim(database, x, 10)).map((row) => row.execution_id))
    expect(started).toEqual(ids)
  })

  test('keeps the order with keys known, new and NULL among each other', async () => {
    const organizationId = await organization(database)
    const name = workflow()
    const [known, alsoKnown] = await enqueueMany(database, name, organizationId, ['known', 'also known'], ['a', 'b'])
    const inputs = ['plain 1', 'b again', 'new', 'plain 2', 'a again', 'plain 3']
    const ids = await enqueueMany(database, name, organizationId, inputs, [null, 'b', 'c', null, 'a', null])
    expect(ids[1]).toBe(alsoKnown)
    expect(ids[4]).toBe(known)
    expect(await inputsOf(ids)).toEqual(['plain 1', 'also known', 'new', 'plain 2', 'known', 'plain 3'])
    expect(await messages(database, organizationId)).toHaveLength(6)
  })

  test('makes one execution of inputs that share a key', async () => {
    const organizationId = await organization(database)
    const ids = await enqueueMany(database, workflow(), organizationId, [1, 2, 3, 4], ['same', null, 'same', 'same'])
    expect(ids[2]).toBe(ids[0])
    expect(ids[3]).toBe(ids[0])
    expect(new Set(ids).size).toBe(2)
    expect(await messages(database, organizationId)).toHaveLength(2)
    expect(one(await inputsOf([ids[1] ?? '']))).toBe(2)
  })

  test('enqueues nothing for no inputs', async () => {
    const organizationId = await organization(database)
    expect(await enqueueMany(database, workflow(), organizationId, [])).toEqual([])
    expect(await enqueueMany(database, workflow(), organizationId, [], [])).toEqual([])
    expect(await messages(database, organizationId)).toEqual([])
  })

  test('enqueues ten thousand in one call, a message each', async () => {
    const organizationId = await organization(database)
    const inputs = Array.from({ length: 10_000 }, (_, n) => n)
    const ids = await enqueueMany(database, workflow(), organizationId, inputs, inputs.map((n) => (n % 2 === 0 ? `key-${n}` : null)))
    expect(new Set(ids).size).toBe(10_000)
    expect(await inputsOf(ids)).toEqual(inputs)
    const linked = await database.query(
      `select from public.fw_workflow_executions e join pgmq.q_workflow_execution_queue q
         on q.msg_id = e.msg_id and q.message ->> 'execution_id' = e.id::text
       where e.organization_id = $1`,
      [organizationId],
    )
    expect(linked).toHaveLength(10_000)
  })

  test('with the same keys in opposite orders at once: neither call deadlocks, and both get the same executions', async () => {
    const organizationId = await organization(database)
    const name = workflow()
    // Whatever the order of the keys in a call, it waits for the holder of the lowest one before it holds a higher one.
    await withSessions(database, 3, async (holder, up, down) => {
      await holder.query('begin')
      await enqueueMany(holder, name, organizationId, ['m'], ['m'])
      const rising = enqueueMany(up, name, organizationId, ['a', 'm', 'z'], ['a', 'm', 'z'])
      await untilBlocked(database, up)
      const falling = enqueueMany(down, name, organizationId, ['z', 'm', 'a'], ['z', 'm', 'a'])
      await untilBlocked(database, down)
      await holder.query('rollback')
      const [risingIds, fallingIds] = await Promise.all([rising, falling])
      expect(fallingIds).toEqual(risingIds.toReversed())
    })
    expect(await messages(database, organizationId)).toHaveLength(3)
  })

  test('creates the settings row of a new organization once, disabled', async () => {
    const organizationId = randomUUID()
    await enqueueMany(database, workflow(), organizationId, [1, 2])
    const rows = await database.query('select fw_execution_worker_enabled from public.fw_module_settings where organization_id = $1', [
      organizationId,
    ])
    expect(rows).toEqual([{ fw_execution_worker_enabled: false }])
  })
})
