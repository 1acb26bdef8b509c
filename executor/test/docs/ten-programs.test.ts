// Ten small programs across a crash, a wait, a failure or a deploy: what a reader of docs/workflows.md must be able to predict. A crash is
// a lease that is lost in the middle of a step's function: another run goes on.
import { beforeEach, expect, test } from 'vitest'
import type { Context } from '../../src/context.js'
import type { Workflow } from '../../src/workflow.js'
import { flow, pause, untilParked } from '../replay/scene.js'
import { executorDatabase, expireLease, until, untilStatus } from '../support/executor.js'

const database = executorDatabase()

let list: string[] = []
let id = ''
const log = (line: string) => list.push(line)
const count = (line: string) => list.filter((each) => each === line).length

beforeEach(() => {
  list = []
  id = ''
})

/** The executor vanishes here, the first time. */
async function crash(line: string): Promise<void> {
  if (count(line) > 1) return
  await until('it runs', () => id !== '')
  await expireLease(database, id)
  await database.query('select public.fw_worker_tick()')
}

async function run<Output>(workflow: Workflow<unknown, Output>, then?: (organizationId: string) => Promise<void>): Promise<Output> {
  const organizationId = await database.organization()
  await database.start(workflow)
  id = await database.client.enqueue(workflow, null, { organizationId })
  await then?.(organizationId)
  return await database.client.result<Output>(id, { timeout: '50s' })
}

test('a step that the process dies in runs again, one that has completed does not, and code between them runs in each run', async () => {
  const result = await run(flow('one', async (ctx) => {
    const a = await ctx.step('a', () => {
      log('a')
      return 1
    })
    log('between')
    return await ctx.step('b', async () => {
      log('b')
      await crash('b')
      return a + 1
    })
  }))
  expect(result).toBe(2)
  expect([count('a'), count('between'), count('b')]).toEqual([1, 2, 2])
})

test('a variable of the handler begins anew in each run, and comes to the same', async () => {
  expect(await run(flow('two', async (ctx) => {
    let n = 0
    n++
    await ctx.sleep(10)
    n++
    await ctx.sleep(10)
    return n
  }))).toBe(2)
})

test('branches with steps of one name each get their own data, also after a crash', async () => {
  const result = await run(flow('three', async (ctx) =>
    await Promise.all(['A', 'B'].map(async (item) => {
      const data = await ctx.step('fetch', async () => {
        await pause(item === 'A' ? 100 : 1)
        return `data of ${item}`
      })
      return await ctx.step('save', async () => {
        log(`save ${data}`)
        if (item === 'A') await crash('save data of A')
        return data
      })
    }))))
  expect(result).toEqual(['data of A', 'data of B'])
  expect([count('save data of A'), count('save data of B')]).toEqual([2, 1])
})

test('a race keeps its winner when the loser comes too', async () => {
  const result = await run(
    flow('four', async (ctx) => {
      const first = await Promise.race([ctx.waitForEvent('yes').then(() => 'yes'), ctx.waitForEvent('no').then(() => 'no')])
      await ctx.sleep(300)
      return first
    }),
    async (organizationId) => {
      await untilStatus(database, id, 'waiting')
      await database.client.emit(organizationId, 'no')
      await until('it goes on', async () => (await database.query("select 1 from public.fw_execution_steps where execution_id = $1 and node_id = 'sleep'", [id])).length === 1)
      await database.client.emit(organizationId, 'yes')
    })
  expect(result).toBe('no')
})

test('a fallback stays the fallback when a later attempt fails', async () => {
  const result = await run(flow('five', async (ctx) => {
    let by: string
    try {
      by = await ctx.step('first', () => {
        if (log('first') === 1) throw new Error('declined')
        return 'first'
      })
    } catch {
      by = await ctx.step('second', () => {
        log('second')
        return 'second'
      })
    }
    await ctx.sleep(10)
    await ctx.step('third', () => {
      log('third')
      if (count('third') === 1) throw new Error('busy')
    })
    return by
  }))
  expect(result).toBe('second')
  expect(list).toEqual(['first', 'second', 'third', 'third'])
})

test('a step whose error the handler replaces by another one is tried in each attempt', async () => {
  await expect(run(flow('six', async (ctx) => {
    try {
      await ctx.step('x', () => {
        log('x')
        throw new Error('never works')
      })
    } catch {
      throw new Error('x did not work')
    }
  }))).rejects.toThrow('x did not work')
  expect(count('x')).toBe(5)
})

test('a value is the same before and after a wait', async () => {
  const seen = new Set<string>()
  const result = await run(flow('seven', async (ctx) => {
    const found = await ctx.step('find', () => ({ b: undefined, zz: 1, a: [undefined, -0] }))
    seen.add(JSON.stringify(Object.entries(found)))
    await ctx.sleep(10)
    return JSON.stringify(Object.entries(found))
  }))
  expect(result).toBe('[["a",[null,0]],["zz",1]]')
  expect([...seen]).toEqual([result])
})

test('code that has a step more before the wait parks the execution: nothing is undone and nothing new happens', async () => {
  const pay = (ctx: Context) => ctx.step('pay', () => void log('pay'), { compensate: () => void log('refund') })
  const organizationId = await database.organization()
  const old = await database.start(flow('eight', async (ctx) => {
    await pay(ctx)
    await ctx.sleep(500)
    return 'done'
  }))
  id = await database.client.enqueue('eight', null, { organizationId })
  await untilStatus(database, id, 'waiting')
  await old.stop()
  await database.start(flow('eight', async (ctx) => {
    await pay(ctx)
    await ctx.step('audit', () => void log('audit'))
    await ctx.sleep(500)
    return 'done'
  }))
  expect(await untilParked(database, id)).toMatchObject({ asked: "step 'audit'" })
  expect(list).toEqual(['pay'])
})

test('an execution whose process dies in the last attempt is undone', async () => {
  await expect(run(flow('nine', async (ctx) => {
    await ctx.step('reserve', () => void log('reserve'), { compensate: () => void log('release') })
    await ctx.step('ship', async () => {
      log('ship')
      await crash('ship')
    })
  }, 1))).rejects.toThrow('compensated: reserve')
  expect(list).toEqual(['reserve', 'ship', 'release'])
})

test('a sleep does not limit a step: it is seen when no step runs any more', async () => {
  expect(await run(flow('ten', async (ctx) => {
    const winner = await Promise.race([
      ctx.step('slow', async () => {
        await pause(300)
        return 'slow'
      }),
      ctx.sleep(50).then(() => 'sleep'),
    ])
    await ctx.sleep(10)
    return winner
  }))).toBe('slow')
})
