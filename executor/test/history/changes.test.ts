import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Context } from '../../src/context.js'
import { ChangedWorkflowError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { untilParked } from '../replay/scene.js'
import { executorDatabase, untilStatus } from '../support/executor.js'

const database = executorDatabase()
const nothing = z.object({})
const named = (handler: (ctx: Context) => unknown) => workflow({ name: 'changing', input: nothing, retry: { backoff: { initial: 0 } } }, handler)

/** Runs a first version until it waits, then a second one; returns the id. */
async function deploy(first: (ctx: Context) => unknown, second: (ctx: Context) => unknown): Promise<string> {
  const organizationId = await database.organization()
  const old = await database.start(named(first))
  const id = await database.client.enqueue('changing', {}, { organizationId })
  await untilStatus(database, id, 'waiting')
  await old.stop()
  await database.start(named(second))
  await database.client.emit(organizationId, 'go')
  return id
}

describe('a workflow that was changed while an execution was under way', () => {
  test('stops when it meets another step in the place of a recorded one, and names both', async () => {
    const id = await deploy(
      async (ctx) => {
        await ctx.step('charge', () => 1)
        await ctx.waitForEvent('go')
      },
      async (ctx) => {
        await ctx.step('reserve', () => 1)
        await ctx.waitForEvent('go')
      },
    )
    expect(await untilParked(database, id)).toMatchObject({ recorded: "step 'charge'", asked: "step 'reserve'", tries: 1 })
    expect(new ChangedWorkflowError('w', 'a', 'b').code).toBe('CHANGED_WORKFLOW')
  })

  test('goes on when steps were added after those that are recorded', async () => {
    const id = await deploy(
      async (ctx) => {
        await ctx.step('charge', () => 1)
        await ctx.waitForEvent('go')
      },
      async (ctx) => {
        await ctx.step('charge', () => 2)
        await ctx.waitForEvent('go')
        return await ctx.step('ship', () => 3)
      },
    )
    expect(await database.client.result(id)).toBe(3)
  })
})

describe('a workflow that was not changed is never taken for changed', () => {
  test('when a step failed, was caught, and succeeds in the next attempt', async () => {
    const organizationId = await database.organization()
    let tries = 0
    const flaky = named(async (ctx) => {
      await ctx.step('a', () => 1)
      try {
        await ctx.step('b', () => {
          if (++tries === 1) throw new Error('once')
        })
      } catch (error) {
        await ctx.step('clean up', () => 1)
        throw error
      }
      return await ctx.step('c', () => 'done')
    })
    await database.start(flaky)
    expect(await database.client.result(await database.client.enqueue(flaky, {}, { organizationId }))).toBe('done')
  })

  test('when branches side by side take turns in another order', async () => {
    const organizationId = await database.organization()
    const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
    let tries = 0
    const branches = named(async (ctx) => {
      const slow = async () => {
        await ctx.step('slow', () => pause(tries === 0 ? 100 : 0))
        await pause(20)
        await ctx.step('after slow', () => 1)
      }
      const fast = async () => {
        await ctx.step('fast', () => 1)
        await ctx.step('after fast', () => 1)
        await ctx.step('last', () => pause(150))
      }
      await Promise.all([slow(), fast()])
      if (++tries < 3) throw new Error('again')
      return 'done'
    })
    await database.start(branches)
    expect(await database.client.result(await database.client.enqueue(branches, {}, { organizationId }))).toBe('done')
  })
})

describe('steps side by side', () => {
  test('run at the same time, each is recorded, and equal names are numbered in the order of their starts', async () => {
    const organizationId = await database.organization()
    let running = 0
    let most = 0
    let runs = 0
    let tries = 0
    const parallel = named(async (ctx) => {
      const results = await Promise.all([1, 2, 3].map((value) => ctx.step('work', async () => {
        most = Math.max(most, ++running)
        runs++
        await new Promise((resolve) => setTimeout(resolve, 50))
        running--
        return value
      })))
      if (++tries === 1) throw new Error('once')
      return results
    })
    await database.start(parallel)
    const id = await database.client.enqueue(parallel, {}, { organizationId })
    expect(await database.client.result(id)).toEqual([1, 2, 3])
    expect({ most, runs }).toEqual({ most: 3, runs: 3 })
    expect(await database.query('select node_id, output_data from public.fw_execution_steps where execution_id = $1 order by step_index', [id])).toEqual([
      { node_id: 'work', output_data: 1 }, { node_id: 'work#2', output_data: 2 }, { node_id: 'work#3', output_data: 3 },
    ])
  })

  test('one within another is refused with the names of both', async () => {
    const organizationId = await database.organization()
    const nested = named((ctx) => ctx.step('outer', () => ctx.step('inner', () => 1)))
    await database.start(nested)
    const id = await database.client.enqueue(nested, {}, { organizationId })
    await expect(database.client.result(id)).rejects.toThrow("step 'inner' was started within step 'outer'")
  })
})
