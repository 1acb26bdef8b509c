import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ChildFailedError, PermanentError } from '../../src/errors.js'
import { workflow, type Workflow } from '../../src/workflow.js'
import { executorDatabase, gate, statuses, stepNames, until, untilStatus } from '../support/executor.js'
import { execution, one } from '../support/sql.js'

const database = executorDatabase()
const nothing = z.object({})
const number = z.object({ value: z.number() })
const double = workflow({ name: 'double', input: number }, (_, { value }) => value * 2)

describe('a child', () => {
  test('gives its result to its parent, which holds no place meanwhile', async () => {
    const organizationId = await database.organization({ batchSize: 1, concurrency: 1 })
    const parent = workflow({ name: 'parent', input: nothing }, async (ctx) => {
      const first: number = await ctx.invoke(double, { value: 4 })
      return await ctx.invoke(double, { value: first })
    })
    await database.start([parent, double], { pollInterval: '1h' })
    const id = await database.client.enqueue(parent, {}, { organizationId })
    expect(await database.client.result(id)).toBe(16)
    expect(await stepNames(database, id)).toEqual(['double', 'double#2'])
    expect(one(await database.query('select count(*)::int as children from public.fw_workflow_executions where parent_id = $1', [id]))).toEqual({ children: 2 })
  })

  test('runs beside others that are invoked at the same time, and beside steps', async () => {
    const organizationId = await database.organization()
    const both = workflow({ name: 'both', input: nothing }, async (ctx) =>
      Promise.all([ctx.invoke(double, { value: 1 }), ctx.step('own', () => 'own'), ctx.invoke(double, { value: 2 })]))
    await database.start([both, double])
    expect(await database.client.result(await database.client.enqueue(both, {}, { organizationId }))).toEqual([2, 'own', 4])
  })

  test('that fails for good gives its error to its parent, which may go on without', async () => {
    const organizationId = await database.organization()
    const failing = workflow({ name: 'failing', input: nothing }, () => {
      throw new PermanentError('no stock', { category: 'NOT_FOUND' })
    })
    const parent = workflow({ name: 'parent of failing', input: z.object({ catches: z.boolean() }) }, async (ctx, { catches }) => {
      try {
        await ctx.invoke(failing, {})
      } catch (error) {
        if (!catches || !(error instanceof ChildFailedError)) throw error
        return { status: error.status, message: error.message, category: error.category }
      }
    })
    await database.start([parent, failing])
    const caught = await database.client.enqueue(parent, { catches: true }, { organizationId })
    expect(await database.client.result(caught)).toMatchObject({ status: 'failed', category: 'NOT_FOUND', message: expect.stringMatching(/'failing' is failed: no stock$/) as unknown })
    const uncaught = await database.client.enqueue(parent, { catches: false }, { organizationId })
    await expect(database.client.result(uncaught)).rejects.toMatchObject({ category: 'NOT_FOUND', message: expect.stringContaining('no stock') as unknown })
    expect((await execution(database, uncaught)).retry_count).toBe(0)
  })

  test('is created once, however often the parent is run', async () => {
    const organizationId = await database.organization()
    const runs: number[] = []
    const counted = workflow({ name: 'counted', input: nothing }, () => runs.push(1))
    let tries = 0
    const parent = workflow({ name: 'shaky parent', input: nothing, retry: { backoff: { initial: 0 } } }, async (ctx) => {
      const result = await ctx.invoke(counted, {})
      if (++tries < 3) throw new Error('again')
      return result
    })
    await database.start([parent, counted])
    expect(await database.client.result(await database.client.enqueue(parent, {}, { organizationId }))).toBe(1)
    expect(runs).toHaveLength(1)
  })

  test('is cancelled with its parent, and so are its own children, while a handler of theirs is aborted', async () => {
    const organizationId = await database.organization()
    const running = gate()
    const aborted = gate()
    const leaf = workflow({ name: 'leaf', input: nothing }, async (ctx) => {
      await ctx.step('wait', async ({ signal }) => {
        running.open()
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve)
        })
        aborted.open()
      })
    })
    const middle = workflow({ name: 'middle', input: nothing }, (ctx) => ctx.invoke(leaf, {}))
    const root = workflow({ name: 'root', input: nothing }, (ctx) => ctx.invoke(middle, {}))
    await database.start([root, middle, leaf])
    const id = await database.client.enqueue(root, {}, { organizationId })
    await running.opened
    expect(await database.client.cancel(id, 'enough')).toBe(true)
    await aborted.opened
    const ended = await database.query('select workflow_name, status, last_error from public.fw_workflow_executions where organization_id = $1 order by id', [organizationId])
    const below = 'cancelled: enough, with the execution that invoked it'
    expect(ended).toEqual([
      { workflow_name: 'root', status: 'cancelled', last_error: 'cancelled: enough' },
      { workflow_name: 'middle', status: 'cancelled', last_error: below },
      { workflow_name: 'leaf', status: 'cancelled', last_error: below },
    ])
  })

  test('that is cancelled alone fails its parent', async () => {
    const organizationId = await database.organization()
    const waits = workflow({ name: 'waits', input: nothing }, (ctx) => ctx.waitForEvent('never'))
    const parent = workflow({ name: 'parent of waits', input: nothing }, (ctx) => ctx.invoke(waits, {}))
    await database.start([parent, waits])
    const id = await database.client.enqueue(parent, {}, { organizationId })
    const child = async () => (await database.client.list({ organizationId, workflow: waits, statuses: ['waiting'] }))[0]?.id
    await until('it waits', async () => (await child()) !== undefined)
    await database.client.cancel((await child()) ?? '')
    await expect(database.client.result(id)).rejects.toThrow(/is cancelled/)
  })

  test('of a workflow that no executor has registered is a clear error', async () => {
    const organizationId = await database.organization()
    const unknown = workflow({ name: 'nobody knows it', input: nothing }, () => 1)
    const parent = workflow({ name: 'hopeful', input: nothing }, (ctx) => ctx.invoke(unknown, {}))
    await database.start(parent)
    await expect(database.client.result(await database.client.enqueue(parent, {}, { organizationId }))).rejects.toThrow("no executor has ever registered workflow 'nobody knows it'")
  })

  test('whose input does not fit its schema is a clear error, and nothing is created', async () => {
    const organizationId = await database.organization()
    const parent = workflow({ name: 'careless', input: nothing }, (ctx) => ctx.invoke(double, { value: 'four' as unknown as number }))
    await database.start([parent, double])
    const id = await database.client.enqueue(parent, {}, { organizationId })
    await expect(database.client.result(id)).rejects.toThrow(/does not fit the schema of workflow 'double'/)
    expect(await database.client.list({ organizationId, workflow: double })).toEqual([])
  })

  test('that invokes itself without an end stops at a depth that the error names', async () => {
    const organizationId = await database.organization()
    const endless: Workflow<Record<string, never>> = workflow({ name: 'endless', input: nothing }, (ctx): Promise<unknown> => ctx.invoke(endless, {}))
    await database.start(endless)
    const id = await database.client.enqueue(endless, {}, { organizationId })
    await expect(database.client.result(id)).rejects.toThrow('children are nested more than 20 deep')
    expect(await statuses(database, 'endless')).toMatchObject({ live: 0, failed: 21 })
  })
})

describe('a map', () => {
  test('over a function runs so many steps at a time, and each once', async () => {
    const organizationId = await database.organization()
    let running = 0
    let most = 0
    let runs = 0
    const mapping = workflow({ name: 'mapping', input: nothing, retry: { backoff: { initial: 0 } } }, async (ctx) => {
      const results = await ctx.map([1, 2, 3, 4, 5, 6, 7], async (item) => {
        most = Math.max(most, ++running)
        runs++
        await new Promise((resolve) => setTimeout(resolve, 20))
        running--
        return item * 10
      }, { concurrency: 3 })
      if (ctx.attempt === 1) throw new Error('again')
      return results
    })
    await database.start(mapping)
    const id = await database.client.enqueue(mapping, {}, { organizationId })
    expect(await database.client.result(id)).toEqual([10, 20, 30, 40, 50, 60, 70])
    expect({ most, runs }).toEqual({ most: 3, runs: 7 })
    expect(await stepNames(database, id)).toContain('map[6]')
  })

  test('over a workflow has so many children under way, in order, and wakes when the last has finished', async () => {
    const organizationId = await database.organization()
    let running = 0
    let most = 0
    const slow = workflow({ name: 'slow', input: number }, async (_, { value }) => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 30))
      running--
      return value + 1
    })
    let wakes = 0
    const fan = workflow({ name: 'fan', input: nothing }, async (ctx) => {
      wakes++
      return await ctx.map(Array.from({ length: 25 }, (_, value) => ({ value })), slow, { concurrency: 4 })
    })
    await database.start([fan, slow])
    const id = await database.client.enqueue(fan, {}, { organizationId })
    expect(await database.client.result(id)).toEqual(Array.from({ length: 25 }, (_, value) => value + 1))
    expect(most).toBeLessThanOrEqual(4)
    expect(wakes).toBe(2)
  })

  test('of thousands of children does not write its parent for each of them', async () => {
    const organizationId = await database.organization({ batchSize: 50, concurrency: 100 })
    const fan = workflow({ name: 'wide fan', input: nothing }, async (ctx) => {
      const results = await ctx.map(Array.from({ length: 3000 }, (_, value) => ({ value })), double, { concurrency: 3000 })
      return results.reduce((sum, each) => sum + each, 0)
    })
    await database.start([fan, double], { concurrency: 500 })
    const id = await database.client.enqueue(fan, {}, { organizationId })
    expect(await database.client.result(id, { timeout: '2m' })).toBe(3000 * 2999)
  })

  test('one of whose children fails throws when all have finished', async () => {
    const organizationId = await database.organization()
    const picky = workflow({ name: 'picky', input: number }, (_, { value }) => {
      if (value === 2) throw new PermanentError('not two')
      return value
    })
    const fan = workflow({ name: 'fan of picky', input: nothing }, (ctx) => ctx.map([1, 2, 3].map((value) => ({ value })), picky))
    await database.start([fan, picky])
    const id = await database.client.enqueue(fan, {}, { organizationId })
    await expect(database.client.result(id)).rejects.toThrow('not two')
    expect(await statuses(database, 'picky')).toEqual({ live: 0, completed: 2, failed: 1 })
  })

  test('of nothing is nothing', async () => {
    const organizationId = await database.organization()
    const empty = workflow({ name: 'empty', input: nothing }, async (ctx) => [await ctx.map([], () => 1), await ctx.map([], double)])
    await database.start([empty, double])
    expect(await database.client.result(await database.client.enqueue(empty, {}, { organizationId }))).toEqual([[], []])
  })

  test('of a million items is refused with the name of the limit', async () => {
    const organizationId = await database.organization()
    const huge = workflow({ name: 'huge', input: nothing }, (ctx) => ctx.map(new Array<number>(1_000_000).fill(1), () => 1))
    await database.start(huge)
    await expect(database.client.result(await database.client.enqueue(huge, {}, { organizationId }))).rejects.toThrow('at most 10000 items (MAP_ITEMS_LIMIT), not 1000000')
  })
})

test('a parent that waits for a child whose executor is gone goes on when another takes the child', async () => {
  const organizationId = await database.organization()
  const parent = workflow({ name: 'far parent', input: nothing }, (ctx) => ctx.invoke(double, { value: 3 }))
  const first = await database.start(parent)
  await database.query(`select public.fw_register_executor('gone', '[{"name": "double"}]')`)
  const id = await database.client.enqueue(parent, {}, { organizationId })
  await untilStatus(database, id, 'waiting')
  await database.start(double)
  expect(await database.client.result(id)).toBe(6)
  await first.stop()
})
