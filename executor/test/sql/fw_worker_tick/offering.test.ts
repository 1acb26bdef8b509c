import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { listening } from '../../support/listening.js'
import { type Claimed, claim, enqueue, execution, executor, messages, one, organization, report, sqlDatabase, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

afterEach(() => expectInvariantsZero(database.pool))

const tick = () => database.query('select * from public.fw_worker_tick()')

const lastTick = async () => one(await database.query<{ batches_offered: number }>('select batches_offered from public.fw_worker_ticks order by id desc limit 1'))

const health = async (subject: string) =>
  one(await database.query<{ is_ok: boolean; detail: string; hint: string | null }>('select is_ok, detail, hint from public.fw_health() where subject = $1', [subject]))

const batchesOf = (organizationId: string) =>
  database.query<{ id: string; size: number; taken_at: Date | null }>('select id, size, taken_at from public.fw_worker_runs where organization_id = $1 order by id', [
    organizationId,
  ])

describe('while an executor has room', () => {
  test('waiting work of each enabled organization is offered, and executors hear of each batch', async () => {
    const name = workflow()
    const organizations = [await organization(database), await organization(database), await organization(database)]
    const disabled = await organization(database, { enabled: false })
    const x = await executor(database, name)
    for (const id of [...organizations, disabled]) await enqueue(database, name, id, 2)
    await listening(database, ['fw_batch'], async ({ heard }) => {
      await tick()
      const offered = (await Promise.all(organizations.map(batchesOf))).flat()
      expect(offered.map(({ size, taken_at }) => ({ size, taken_at }))).toEqual(organizations.map(() => ({ size: 2, taken_at: null })))
      expect((await heard()).sort()).toEqual(offered.map(({ id }) => `fw_batch "${id}"`).sort())
      expect(await lastTick()).toEqual({ batches_offered: 3 })
      for (const { id } of offered) {
        const taken = await database.query<Claimed & Record<string, unknown>>('select * from public.fw_take_batch($1, $2)', [x, id])
        expect(taken).toHaveLength(2)
        expect(await report(database, x, taken)).toEqual([])
      }
    })
    expect(await batchesOf(disabled)).toEqual([])
    expect((await messages(database, disabled)).map(({ message }) => message)).toHaveLength(2)
  })

  test('no more is offered than the semaphore has free', async () => {
    const name = workflow()
    const organizationId = await organization(database, { batchSize: 2, concurrency: 2 })
    const x = await executor(database, name)
    await enqueue(database, name, organizationId, 10)
    expect(await claim(database, x, 2)).toHaveLength(2)
    for (let round = 0; round < 3; round++) {
      await database.query('update public.fw_executors set wants_work = true where id = $1', [x])
      await tick()
    }
    expect((await batchesOf(organizationId)).map(({ size, taken_at }) => [size, taken_at !== null])).toEqual([
      [2, true],
      [2, false],
    ])
  })

  test('nothing is offered of a workflow that no living executor knows', async () => {
    const organizationId = await organization(database)
    await executor(database, workflow())
    const id = one(await enqueue(database, workflow(), organizationId))
    await tick()
    expect(await batchesOf(organizationId)).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0 })
  })

  test('organizations are offered in turn: the next tick goes on where the last one ended', async () => {
    const name = workflow()
    const organizations: string[] = []
    for (let i = 0; i < 4; i++) organizations.push(await organization(database, { batchSize: 1, concurrency: 100 }))
    organizations.sort()
    const x = await executor(database, name)
    for (const id of organizations) await enqueue(database, name, id, 3)
    const served: string[] = []
    for (let round = 0; round < 6; round++) {
      const [offered] = await database.query<{ id: string }>('select id from public.fw_offer_batches(1) as id')
      const taken = one(await database.query<Claimed & Record<string, unknown>>('select * from public.fw_take_batch($1, $2)', [x, offered?.id]))
      served.push(taken.organization_id)
    }
    const start = organizations.indexOf(served[0] ?? '')
    expect(served).toEqual(Array.from({ length: 6 }, (_, round) => organizations[(start + round) % 4]))
  })
})

describe('without an executor that has room', () => {
  test('with no living executor nothing is claimed, no attempt is spent, and fw_health says why', async () => {
    const name = workflow()
    const organizationId = await organization(database)
    const x = await executor(database, name)
    const ids = await enqueue(database, name, organizationId, 3)
    await database.query("update public.fw_executors set last_seen_at = now() - interval '31 seconds' where id = $1", [x])
    const before = await messages(database, organizationId)
    for (let round = 0; round < 3; round++) await tick()
    expect(await messages(database, organizationId)).toEqual(before)
    for (const id of ids) expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0, started_at: null })
    expect(await batchesOf(organizationId)).toEqual([])
    expect(one(await database.query<{ read: number }>("select max(read_ct) as read from pgmq.q_workflow_execution_queue where message ->> 'organization_id' = $1", [organizationId])).read).toBe(0)
    const { is_ok, detail, hint } = await health('executors')
    expect(is_ok).toBe(false)
    expect(detail).toMatch(/^0 alive, while work of 1 organizations waits, the oldest since \d{4}-/)
    expect(hint).toBe('Start an executor: fw run.')
    await database.query('update public.fw_executors set last_seen_at = now() where id = $1', [x])
    await tick()
    expect(await batchesOf(organizationId)).toHaveLength(1)
  })

  test('nothing is offered while every executor is busy', async () => {
    const name = workflow()
    const organizationId = await organization(database)
    const x = await executor(database, name)
    const id = one(await enqueue(database, name, organizationId))
    await database.query('update public.fw_executors set wants_work = false where id = $1', [x])
    await listening(database, ['fw_batch'], async ({ heard }) => {
      await tick()
      expect(await heard()).toEqual([])
    })
    expect(await execution(database, id)).toMatchObject({ status: 'queued' })
    expect(await batchesOf(organizationId)).toEqual([])
  })
})

describe('two ticks at once', () => {
  test('one works, the other returns nothing at once, and neither is counted twice', async () => {
    const name = workflow()
    const organizationId = await organization(database)
    const x = await executor(database, name)
    await enqueue(database, name, organizationId)
    const ticks = async () => one(await database.query<{ count: string }>('select count(*) from public.fw_worker_ticks')).count
    const before = Number(await ticks())
    await withSessions(database, 2, async (first, second) => {
      await first.query('begin')
      await first.query('select * from public.fw_worker_tick()')
      await second.query("set lock_timeout = '1ms'")
      expect(await second.query('select * from public.fw_worker_tick()')).toEqual([])
      expect(Number(await ticks())).toBe(before)
      await first.query('commit')
      expect(Number(await ticks())).toBe(before + 1)
      await second.query("set lock_timeout = '0'")
      await second.query('select * from public.fw_worker_tick()')
      expect(Number(await ticks())).toBe(before + 2)
    })
    const batch = one(await batchesOf(organizationId))
    expect(await database.query('select * from public.fw_take_batch($1, $2)', [x, batch.id])).toHaveLength(1)
  })

  test('one that is rolled back has done nothing: its work is offered by the next', async () => {
    const name = workflow()
    const organizationId = await organization(database)
    await executor(database, name)
    const id = one(await enqueue(database, name, organizationId))
    await listening(database, ['fw_batch'], async ({ heard }) => {
      await withSessions(database, 1, async (session) => {
        await session.query('begin')
        await session.query('select * from public.fw_worker_tick()')
        await session.query('rollback')
      })
      expect(await heard()).toEqual([])
      expect(await execution(database, id)).toMatchObject({ status: 'queued' })
      await tick()
      expect(await heard()).toHaveLength(1)
    })
  })
})
