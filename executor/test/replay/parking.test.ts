import { describe, expect, test } from 'vitest'
import type { Context } from '../../src/context.js'
import { executorDatabase, stepNames, until, untilStatus } from '../support/executor.js'
import { makeVisible, one } from '../support/sql.js'
import { fw } from '../cli/fw.js'
import { flow, pause, untilParked } from './scene.js'

const database = executorDatabase()

type Handler = (ctx: Context) => unknown
let flows = 0

/** Runs a first version of a workflow until it waits, and then a second one; the wait is for the event 'go'. */
async function deploy(first: Handler, second: Handler): Promise<{ id: string; organizationId: string; name: string }> {
  const name = `deployed ${++flows}`
  const organizationId = await database.organization()
  const old = await database.start(flow(name, first, 1))
  const id = await database.client.enqueue(name, null, { organizationId })
  await untilStatus(database, id, 'waiting')
  await old.stop()
  await database.start(flow(name, second, 1))
  await database.client.emit(organizationId, 'go')
  return { id, organizationId, name }
}

const go = (ctx: Context) => ctx.waitForEvent('go')

describe('a workflow whose code does not fit what was recorded is parked', () => {
  test('with nothing undone and no failed attempt, and goes on by itself when code that fits is back', async () => {
    const name = 'rolling deploy'
    const organizationId = await database.organization()
    const undone: string[] = []
    const charge = (ctx: Context) => ctx.step('charge', () => 'receipt', { compensate: () => undone.push('charge') })
    const first: Handler = async (ctx) => {
      const receipt = await charge(ctx)
      await go(ctx)
      return await ctx.step('ship', () => `shipped with ${receipt}`)
    }
    const second: Handler = async (ctx) => {
      const receipt = await charge(ctx)
      await ctx.step('check the address', () => 1)
      await go(ctx)
      return await ctx.step('ship', () => `shipped with ${receipt}`)
    }
    const old = await database.start(flow(name, first, 1))
    const ids = await database.client.enqueueMany(name, Array.from({ length: 20 }, () => null), { organizationId })
    for (const id of ids) await untilStatus(database, id, 'waiting')
    await old.stop()
    const newer = await database.start(flow(name, second, 1))
    await database.client.emit(organizationId, 'go')
    await until('all are parked', async () => (await database.query('select 1 from public.fw_parked')).length === 20)
    expect(newer.stats).toMatchObject({ retried: 0, deadLettered: 0 })
    const { reason } = await untilParked(database, ids[0] ?? '')
    expect(reason).toMatch(/asked for step 'check the address' where 'event go', an event 'go' was recorded.*Math\.random\(\) or Date\.now\(\)/)

    const health = await database.query("select is_ok, detail, hint from public.fw_health() where subject = 'parked executions'")
    expect(one(health)).toMatchObject({ is_ok: false, detail: expect.stringContaining('20 are parked') as unknown, hint: expect.stringContaining('fw_continue_from') as unknown })
    expect((await database.query("select 1 from public.fw_notices where kind = 'parked' and organization_id = $1", [organizationId])).length).toBe(20)
    const status = await fw(['status'], { url: database.url })
    expect(status.stdout).toMatch(/20 executions are parked, such as .*They go on once an executor with code that fits runs/)

    await database.start(flow(name, first, 1))
    await until('all are completed', async () => {
      await makeVisible(database, ids)
      return (await database.query("select 1 from public.fw_workflow_executions where id = any ($1) and status = 'completed'", [ids])).length === 20
    }, 60)
    expect(undone).toEqual([])
    expect(one(await database.query("select is_ok from public.fw_health() where subject = 'parked executions'"))).toEqual({ is_ok: true })
    const attempts = await database.query('select distinct retry_count from public.fw_workflow_executions where id = any ($1)', [ids])
    expect(attempts).toEqual([{ retry_count: 0 }])
  })

  test.each<[string, Handler, Handler, string, string]>([
    ['a step was removed in the middle', async (ctx) => { await ctx.step('a', () => 1); await ctx.step('b', () => 1); await go(ctx) },
      async (ctx) => { await ctx.step('a', () => 1); await go(ctx) }, "step 'b'", "'event go', an event 'go'"],
    ['two steps were swapped', async (ctx) => { await ctx.step('a', () => 1); await ctx.step('b', () => 1); await go(ctx) },
      async (ctx) => { await ctx.step('b', () => 1); await ctx.step('a', () => 1); await go(ctx) }, "step 'a'", "step 'b'"],
    ['all after the first step was removed', async (ctx) => { await ctx.step('a', () => 1); await ctx.step('b', () => 1); await go(ctx) },
      async (ctx) => { await ctx.step('a', () => 1) }, "step 'b'", 'the end of the handler'],
    ['the wait was removed', async (ctx) => { await ctx.step('a', () => 1); await go(ctx) },
      async (ctx) => { await ctx.step('a', () => 1); return 'done' }, "'event go', an event 'go'", 'the end of the handler'],
    ['a step became a transaction', async (ctx) => { await ctx.transaction('a', () => Promise.resolve(1)); await go(ctx) },
      async (ctx) => { await ctx.step('a', () => 1); await go(ctx) }, "'a', a transaction", "step 'a'"],
    ['a step became a value', async (ctx) => { ctx.uuid({ name: 'a' }); await go(ctx) },
      async (ctx) => { ctx.now({ name: 'a' }); await go(ctx) }, "'a', a uuid", "'a', a time"],
    ['an event of another key is waited for under the same name', async (ctx) => { await ctx.waitForEvent('go', { name: 'answer' }); await ctx.waitForEvent('never') },
      async (ctx) => { await ctx.waitForEvent('stop', { name: 'answer' }); await ctx.waitForEvent('never') }, "'answer', an event 'go'", "'answer', an event 'stop'"],
    ['a sleep is of another length', async (ctx) => { await ctx.sleep(5); await go(ctx) },
      async (ctx) => { await ctx.sleep('1h'); await go(ctx) }, "'sleep', a sleep of 5 ms", "'sleep', a sleep of 3600000 ms"],
    ['a branch was removed', async (ctx) => { await Promise.all([ctx.step('a', () => pause(20)), ctx.step('b', () => 1)]); await go(ctx) },
      async (ctx) => { await Promise.all([ctx.step('b', () => 1), ctx.step('c', () => 1)]); await go(ctx) }, "step 'a'", "step 'b'"],
  ])('when %s: both are named, and nothing new was done', async (_, first, second, recorded, asked) => {
    const { id } = await deploy(first, second)
    const names = await stepNames(database, id)
    expect(await untilParked(database, id)).toMatchObject({ recorded, asked })
    expect(await stepNames(database, id)).toEqual(names)
  })

  test('when a child is given another input or is of another workflow', async () => {
    const child = flow('child of parked', (_, input) => input)
    const other = flow('other child of parked', (_, input) => input)
    for (const [index, invoke] of [(ctx: Context) => ctx.invoke(child, { to: 'Berlin' }), (ctx: Context) => ctx.invoke(other, { to: 'Paris' }, { name: child.name })].entries()) {
      const name = `parent of parked ${index}`
      const organizationId = await database.organization()
      const old = await database.start([child, other, flow(name, async (ctx) => { await ctx.invoke(child, { to: 'Paris' }); await go(ctx) })])
      const id = await database.client.enqueue(name, null, { organizationId })
      await until('it waits for the event', async () => (await database.query("select 1 from public.fw_execution_steps where execution_id = $1 and node_id = 'event go'", [id])).length === 1)
      await old.stop()
      const newer = await database.start([child, other, flow(name, async (ctx) => { await invoke(ctx); await go(ctx) })])
      await database.client.emit(organizationId, 'go')
      const { recorded, asked } = await untilParked(database, id)
      expect(recorded).toMatch(/^'child of parked', a child of workflow 'child of parked' with an input of the hash [0-9a-f]{16}$/)
      expect(asked).toMatch(/^'child of parked', a child of workflow '(other )?child of parked' with an input of the hash [0-9a-f]{16}$/)
      expect(asked).not.toBe(recorded)
      await newer.stop()
    }
  })

  test('when it decides by something that is not recorded', async () => {
    const { id } = await deploy(
      async (ctx) => { await ctx.step('heads', () => 1); await go(ctx) },
      async (ctx) => { await ctx.step('tails', () => 1); await go(ctx) },
    )
    expect((await untilParked(database, id)).reason).toContain('it decides by something that is not recorded, such as Math.random() or Date.now()')
  })
})

describe('an execution that is parked', () => {
  const first: Handler = async (ctx) => {
    await ctx.step('a', () => 'a')
    await ctx.step('b', () => 'b')
    await go(ctx)
  }
  const second: Handler = async (ctx) => [await ctx.step('a', () => 'new a'), await ctx.step('b2', () => 'b2')]

  test('goes on from a step when an operator says so; what came before stays', async () => {
    const { id } = await deploy(first, second)
    await untilParked(database, id)
    await expect(database.client.continueFrom(id, 'no such step')).rejects.toMatchObject({ code: 'UNKNOWN_STEP' })
    const said = await fw(['executions', 'continue', id, '--from', 'b'], { url: database.url })
    expect(said.stdout).toBe(`${id} goes on from 'b'; 2 steps happen again\n`)
    expect(await database.client.result(id)).toEqual(['a', 'b2'])
    await expect(database.client.continueFrom(id, 'a')).rejects.toMatchObject({ code: 'EXECUTION_STATE' })
    expect(await database.query('select 1 from public.fw_parked where execution_id = $1', [id])).toEqual([])
  })

  test('goes on from a step without the children that still run for it: they are cancelled, and invoked anew', async () => {
    const child = flow('child that takes long', async (ctx, input) => {
      await ctx.waitForEvent(`end of ${String(input)}`)
      return input
    })
    const invoking = (to: string): Handler => async (ctx) => {
      await ctx.step('a', () => 'a')
      return (await Promise.all([ctx.invoke(child, to), go(ctx)]))[0]
    }
    const organizationId = await database.organization()
    const old = await database.start([child, flow('invoking', invoking('Paris'), 1)])
    const id = await database.client.enqueue('invoking', null, { organizationId })
    const children = () => database.query<{ status: string }>('select status::text from public.fw_workflow_executions where parent_id = $1 order by created_at', [id])
    await until('the child waits', async () => (await children())[0]?.status === 'waiting')
    await old.stop()
    await database.start([child, flow('invoking', invoking('Berlin'), 1)])
    await database.client.emit(organizationId, 'go')
    await untilParked(database, id)
    expect(await database.client.continueFrom(id, 'a')).toBe(3)
    await until('another child waits', async () => (await children())[1]?.status === 'waiting')
    expect(await children()).toEqual([{ status: 'cancelled' }, { status: 'waiting' }])
    await database.client.emit(organizationId, 'end of Berlin')
    await database.client.emit(organizationId, 'go')
    expect(await database.client.result(id)).toBe('Berlin')
  })

  test('does not use up its deadline, and is tried again later and later', async () => {
    const { id } = await deploy(first, second)
    await untilParked(database, id)
    const before = one(await database.query<{ deadline_at: Date | null; deadline_left: unknown }>('select deadline_at, deadline_left from public.fw_workflow_executions where id = $1', [id]))
    expect(before.deadline_at).toBeNull()
    expect(before.deadline_left).not.toBeNull()
    await until('it was tried several times', async () => (await untilParked(database, id)).tries >= 3)
    expect((await database.query("select 1 from public.fw_notices where kind = 'parked' and execution_id = $1", [id])).length).toBe(1)
  })

  test('and is parked again after it has gone on, is told of again', async () => {
    const later: Handler = async (ctx) => {
      await first(ctx)
      await ctx.waitForEvent('later')
    }
    const { id, organizationId, name } = await deploy(later, second)
    await untilParked(database, id)
    const old = await database.start(flow(name, later, 1))
    await until('it has gone on', async () => {
      await makeVisible(database, [id])
      return (await database.query("select 1 from public.fw_execution_steps where execution_id = $1 and node_id = 'event later'", [id])).length === 1
    })
    await old.stop()
    await database.client.emit(organizationId, 'later')
    await until('there is another notice', async () => (await database.query("select 1 from public.fw_notices where kind = 'parked' and execution_id = $1", [id])).length === 2)
  })

  test('can be cancelled', async () => {
    const { id } = await deploy(first, second)
    await untilParked(database, id)
    expect(await database.client.cancel(id, 'given up')).toBe(true)
    expect(await database.query('select 1 from public.fw_parked where execution_id = $1', [id])).toEqual([])
  })
})
