import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, gate, stepNames, until } from '../support/executor.js'
import { startProxy } from '../support/proxy.js'

const database = executorDatabase()

test('a step starts only after every earlier one is recorded, whatever the handler does in between', async () => {
  const organizationId = await database.organization()
  const pauses = [0, 0, 5, 20, 24, 26, 28, 30, 32, 35, 60]
  const looking = workflow({ name: 'looking', input: z.object({}) }, async (ctx) => {
    const seen: number[] = []
    for (const [index, pause] of pauses.entries()) {
      if (pause > 0) await sleep(pause)
      const look = async () => (await stepNames(database, ctx.executionId)).length
      // A step of each kind in turn.
      seen.push(await (index % 3 === 2 ? ctx.transaction(`step ${index}`, look) : ctx.step(`step ${index}`, look)))
    }
    return seen
  })
  await database.start(looking)
  const ids = await database.client.enqueueMany(looking, Array.from({ length: 10 }, () => ({})), { organizationId })
  for (const id of ids) expect(await database.client.result(id)).toEqual(pauses.map((_, index) => index))
})

test.each(['step', 'transaction'] as const)('a %s waits for a checkpoint that is on its way to the database', async (kind) => {
  const organizationId = await database.organization()
  const recorded = gate()
  const asked = gate()
  const started = gate()
  const go = gate()
  const waiting = workflow({ name: `waiting ${kind}`, input: z.object({}) }, async (ctx) => {
    await ctx.step('first', () => 1)
    recorded.open()
    // By now the checkpoint has been sent and waits for the lock.
    await go.opened
    const second = async () => {
      started.open()
      await started.opened
    }
    const done = kind === 'step' ? ctx.step('second', second) : ctx.transaction('second', second)
    asked.open()
    await done
  })
  const lock = await database.pool.connect()
  try {
    await lock.query('begin')
    await lock.query('lock table public.fw_execution_steps in access exclusive mode')
    await database.start(waiting)
    const id = await database.client.enqueue(waiting, {}, { organizationId })
    await recorded.opened
    await until('the checkpoint waits for the lock', async () =>
      (await database.query("select 1 from pg_stat_activity where application_name = 'fw executor' and wait_event_type = 'Lock' and datname = current_database()")).length > 0)
    go.open()
    await asked.opened
    await sleep(100)
    expect(started.isOpen).toBe(false)
    await lock.query('commit')
    await database.client.result(id)
    expect(await stepNames(database, id)).toEqual(['first', 'second'])
  } finally {
    lock.release(true)
  }
})

test('a step does not start while the database cannot be reached, and starts once it can', async () => {
  const organizationId = await database.organization()
  const proxy = await startProxy(database.url)
  try {
    const started = gate()
    const cut = workflow({ name: 'cut off', input: z.object({}) }, async (ctx) => {
      await ctx.step('first', () => {
        proxy.cut()
      })
      await sleep(200)
      await ctx.step('second', () => {
        started.open()
      })
      return ctx.attempt
    })
    await database.start(cut, { connectionString: proxy.url })
    const id = await database.client.enqueue(cut, {}, { organizationId })
    await until('it runs', async () => (await database.query('select 1 from public.fw_workflow_executions where id = $1 and started_at is not null', [id])).length > 0)
    await sleep(800)
    expect(started.isOpen).toBe(false)
    proxy.restore()
    expect(await database.client.result(id)).toBe(1)
    expect(started.isOpen).toBe(true)
  } finally {
    await proxy.close()
  }
})
