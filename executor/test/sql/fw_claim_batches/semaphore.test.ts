import { describe, expect, test } from 'vitest'
import { type Claimed, claim, enqueue, executor, one, organization, report, sqlDatabase, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase({ poolSize: 16 })

function sizes(claimed: readonly Claimed[]): number[] {
  const bySize = new Map<string, number>()
  for (const { batch_id } of claimed) bySize.set(batch_id, (bySize.get(batch_id) ?? 0) + 1)
  return [...bySize.values()].sort((a, b) => b - a)
}

async function inFlight(organizationId: string): Promise<number> {
  const { running } = one(
    await database.query<{ running: number }>(
      "select count(*)::integer as running from public.fw_workflow_executions where organization_id = $1 and status = 'running'",
      [organizationId],
    ),
  )
  return running
}

describe('a claim', () => {
  test.for([
    { batchSize: 1, concurrency: 1, waiting: 5, room: 100, batches: [1] },
    { batchSize: 10, concurrency: 1, waiting: 25, room: 100, batches: [10] },
    { batchSize: 50, concurrency: 1, waiting: 60, room: 100, batches: [50] },
    { batchSize: 10, concurrency: 3, waiting: 100, room: 100, batches: [10, 10, 10] },
    { batchSize: 10, concurrency: 3, waiting: 25, room: 100, batches: [10, 10, 5] },
    { batchSize: 10, concurrency: 3, waiting: 100, room: 25, batches: [10, 10, 5] },
    { batchSize: 10, concurrency: 1, waiting: 100, room: 3, batches: [3] },
    { batchSize: 1, concurrency: 100, waiting: 120, room: 500, batches: Array.from({ length: 100 }, () => 1) },
  ])('of $waiting waiting with room for $room takes batches of $batchSize in $concurrency slots', async ({ waiting, room, batches, ...settings }) => {
    const name = workflow()
    const x = await executor(database, name)
    const organizationId = await organization(database, settings)
    await enqueue(database, name, organizationId, waiting)
    expect(sizes(await claim(database, x, room))).toEqual(batches)
  })

  test('with no room takes nothing', async () => {
    const name = workflow()
    const x = await executor(database, name)
    await enqueue(database, name, await organization(database), 3)
    expect(await claim(database, x, 0)).toEqual([])
    await expect(claim(database, x, -1)).rejects.toMatchObject({ code: '22023', message: 'the room is -1' })
  })
})

describe('the semaphore', () => {
  test('holds back whatever exceeds slots times batch size, and gives each place back by itself', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const organizationId = await organization(database, { batchSize: 3, concurrency: 2 })
    await enqueue(database, name, organizationId, 20)
    const first = await claim(database, x)
    expect(first).toHaveLength(6)
    expect(await claim(database, x)).toEqual([])
    // One slow execution holds its own place, not its whole batch's.
    await report(database, x, first.slice(0, 4))
    const second = await claim(database, x)
    expect(second).toHaveLength(4)
    expect(await inFlight(organizationId)).toBe(6)
    expect(await claim(database, x)).toEqual([])
  })

  test('counts every executor of the organization', async () => {
    const name = workflow()
    const [x, y] = [await executor(database, name), await executor(database, name)]
    const organizationId = await organization(database, { batchSize: 4, concurrency: 1 })
    await enqueue(database, name, organizationId, 20)
    expect(await claim(database, x, 3)).toHaveLength(3)
    expect(await claim(database, y)).toHaveLength(1)
    expect(await claim(database, x)).toEqual([])
  })

  test('follows settings that change: a smaller batch size is obeyed once enough has finished', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const organizationId = await organization(database, { batchSize: 10 })
    await enqueue(database, name, organizationId, 50)
    const first = await claim(database, x)
    await database.query('select public.fw_save_worker_settings($1, true, 4)', [organizationId])
    await report(database, x, first.slice(0, 5))
    expect(await claim(database, x)).toEqual([])
    await report(database, x, first.slice(5, 8))
    expect(await claim(database, x)).toHaveLength(2)
    await database.query('select public.fw_save_worker_settings($1, true, 4, p_concurrency => 2)', [organizationId])
    expect(await claim(database, x)).toHaveLength(4)
  })

  test('is not exceeded by a claim that meets another one in progress, before or after that commits', async () => {
    const name = workflow()
    const [x, y] = [await executor(database, name), await executor(database, name)]
    const organizationId = await organization(database, { batchSize: 5, concurrency: 1 })
    await enqueue(database, name, organizationId, 20)
    await withSessions(database, 2, async (first, second) => {
      await first.query('begin')
      expect(await claim(first, x)).toHaveLength(5)
      await second.query("set statement_timeout = '20s'")
      // The first stays open, so the second gives up on the organization sooner or later; it does not fail.
      expect(await claim(second, y)).toEqual([])
      await first.query('commit')
      expect(await claim(second, y)).toEqual([])
    })
    expect(await inFlight(organizationId)).toBe(5)
  })

  test('of an organization that another claim is serving keeps no claim from work elsewhere', async () => {
    const name = workflow()
    const [x, y] = [await executor(database, name), await executor(database, name)]
    const organizations = [await organization(database, { batchSize: 5 }), await organization(database, { batchSize: 5 })].sort()
    for (const organizationId of organizations) await enqueue(database, name, organizationId, 5)
    await withSessions(database, 2, async (first, second) => {
      await first.query('begin')
      const won = await claim(first, x, 5)
      expect(new Set(won.map((row) => row.organization_id))).toEqual(new Set([organizations[0]]))
      const other = await claim(second, y, 5)
      expect(new Set(other.map((row) => row.organization_id))).toEqual(new Set([organizations[1]]))
      await first.query('commit')
      await report(database, x, won)
      await report(database, y, other)
    })
  })

  test('lets a claim that lost the race for an organization have what the winner left', async () => {
    const name = workflow()
    const [x, y] = [await executor(database, name), await executor(database, name)]
    let shared = 0
    await withSessions(database, 2, async (first, second) => {
      const isBlocked = async () => {
        const query = 'select cardinality(pg_blocking_pids($1)) > 0 as blocked'
        return one(await database.query<{ blocked: boolean }>(query, [second.pid])).blocked
      }
      // It waits a moment only, so on a slow machine the winner may commit too late now and then; not every time.
      for (let round = 0; round < 50 && shared === 0; round++) {
        const organizationId = await organization(database, { batchSize: 5, concurrency: 4 })
        await enqueue(database, name, organizationId, 8)
        await first.query('begin')
        const won = await claim(first, x, 5)
        expect(won).toHaveLength(5)
        const waiting = claim(second, y, 5)
        let waited = false
        for (let look = 0; look < 50 && !waited; look++) waited = await isBlocked()
        await first.query('commit')
        const rest = await waiting
        expect(new Set([...won, ...rest].map((row) => row.execution_id)).size).toBe(won.length + rest.length)
        if (waited) shared = rest.length
        await report(database, y, [...rest, ...(await claim(database, y))])
        await report(database, x, won)
      }
    })
    expect(shared).toBe(3)
  })

  test('is exact with many sessions claiming at once', async () => {
    const name = workflow()
    const organizationId = await organization(database, { batchSize: 3, concurrency: 4 })
    const other = await organization(database, { batchSize: 2, concurrency: 1 })
    await enqueue(database, name, organizationId, 300)
    await enqueue(database, name, other, 300)
    const executors = await Promise.all(Array.from({ length: 12 }, () => executor(database, name)))
    const seen = new Set<string>()
    for (let round = 0; round < 5; round++) {
      const held = await Promise.all(executors.map(async (x) => ({ x, claimed: [...(await claim(database, x, 4)), ...(await claim(database, x, 4))] })))
      const claimed = held.flatMap((each) => each.claimed)
      expect(claimed.filter((row) => row.organization_id === organizationId).length).toBeLessThanOrEqual(12)
      expect(claimed.filter((row) => row.organization_id === other).length).toBeLessThanOrEqual(2)
      expect(claimed.length).toBeGreaterThan(0)
      for (const { execution_id } of claimed) {
        expect(seen).not.toContain(execution_id)
        seen.add(execution_id)
      }
      for (const { x, claimed: mine } of held) expect(await report(database, x, mine)).toEqual([])
    }
  })
})
