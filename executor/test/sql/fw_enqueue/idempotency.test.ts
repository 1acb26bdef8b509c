import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { claimOne, execution, executor, messages, one, organization, type Queryable, report, sqlDatabase, untilBlocked, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function enqueueOnce(on: Queryable, name: string, organizationId: string, key: string): Promise<string> {
  return one(await on.query<{ id: string }>("select public.fw_enqueue($1, '{}', $2, $3) as id", [name, organizationId, key])).id
}

describe('an idempotency key', () => {
  test('gives the id of the execution that was enqueued with it before, and enqueues nothing', async () => {
    const organizationId = await organization(database)
    const name = workflow()
    const id = await enqueueOnce(database, name, organizationId, 'order-1')
    expect(await enqueueOnce(database, name, organizationId, 'order-1')).toBe(id)
    expect(await messages(database, organizationId)).toHaveLength(1)
    expect(await execution(database, id)).toMatchObject({ idempotency_key: 'order-1' })
  })

  test('counts for its organization and workflow alone', async () => {
    const name = workflow()
    const [one_, other] = [await organization(database), await organization(database)]
    const ids = [
      await enqueueOnce(database, name, one_, 'k'),
      await enqueueOnce(database, name, other, 'k'),
      await enqueueOnce(database, `${name}-2`, one_, 'k'),
      await enqueueOnce(database, name, one_, 'k2'),
    ]
    expect(new Set(ids).size).toBe(4)
  })

  test('still holds after the execution has completed', async () => {
    const organizationId = await organization(database)
    const name = workflow()
    const x = await executor(database, name)
    const id = await enqueueOnce(database, name, organizationId, 'k')
    await report(database, x, [await claimOne(database, x)])
    expect(await enqueueOnce(database, name, organizationId, 'k')).toBe(id)
    expect(await messages(database, organizationId)).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'completed' })
  })

  test('in two transactions at once makes the second wait and gives both the same id', async () => {
    const organizationId = await organization(database)
    const name = workflow()
    await withSessions(database, 2, async (first, second) => {
      await first.query('begin')
      const id = await enqueueOnce(first, name, organizationId, 'k')
      const waiting = enqueueOnce(second, name, organizationId, 'k')
      await untilBlocked(database, second)
      await first.query('commit')
      expect(await waiting).toBe(id)
    })
    expect(await messages(database, organizationId)).toHaveLength(1)
  })

  test('in two transactions at once lets the second create the execution when the first rolls back', async () => {
    const organizationId = await organization(database)
    const name = workflow()
    await withSessions(database, 2, async (first, second) => {
      await first.query('begin')
      const id = await enqueueOnce(first, name, organizationId, 'k')
      const waiting = enqueueOnce(second, name, organizationId, 'k')
      await untilBlocked(database, second)
      await first.query('rollback')
      const created = await waiting
      expect(created).not.toBe(id)
      expect(await execution(database, created)).toMatchObject({ status: 'queued' })
    })
    expect(await messages(database, organizationId)).toHaveLength(1)
  })

  test('in two transactions at once of an organization that is new to both: neither fails', async () => {
    const organizationId = randomUUID()
    const name = workflow()
    await withSessions(database, 2, async (first, second) => {
      await first.query('begin')
      const a = await enqueueOnce(first, name, organizationId, 'a')
      const waiting = enqueueOnce(second, name, organizationId, 'b')
      await untilBlocked(database, second)
      await first.query('commit')
      expect(await waiting).not.toBe(a)
    })
    expect(await messages(database, organizationId)).toHaveLength(2)
  })
})
