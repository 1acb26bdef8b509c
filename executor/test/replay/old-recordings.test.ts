// Executions that an executor of the version before has recorded: without what was asked, and without the order of what was seen. They are
// made by taking both out of what this version records; what the migration does about them is in migrations/committed.
import { readdir, readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, untilStatus } from '../support/executor.js'
import { flow, pause } from './scene.js'

const database = executorDatabase()

/** The statement of the migration that gives old recordings an order. */
async function orderOldRecordings(): Promise<void> {
  const folder = new URL('../../../migrations/', import.meta.url)
  const files = [...(await readdir(new URL('committed/', folder))).map((name) => `committed/${name}`), 'current.sql']
  const texts = await Promise.all(files.map((name) => readFile(new URL(name, folder), 'utf8')))
  const statement = /with ended as \([^]*?beside\.is_earlier\);/.exec(texts.join('\n'))
  if (statement === null) throw new Error('no migration orders old recordings')
  await database.query(statement[0])
}

async function makeOld(id: string): Promise<void> {
  await database.query(
    `update public.fw_execution_steps s set asked = null, asked_order = null, seen_order = null, is_compensable = null,
       output_data = case when s.status = 'completed' then coalesce(s.output_data, 'null') end
     where s.execution_id = $1`, [id])
  await orderOldRecordings()
}

describe('an execution that an older executor has recorded goes on', () => {
  test('after steps, transactions, values, sleeps, events and children, one after the other', async () => {
    const organizationId = await database.organization()
    const runs: string[] = []
    const child = flow('old child', (_, input) => input)
    const old = workflow({ name: 'old', input: z.unknown() }, async (ctx) => {
      const uuid = ctx.uuid()
      const a = await ctx.step('a', () => runs.push('a'))
      await ctx.transaction('t', (sql) => sql.query('select 1'))
      await ctx.sleep(1)
      const b = await ctx.invoke(child, 'b')
      const many = await ctx.map([1, 2], child)
      const items = await ctx.map([1, 2], (item) => runs.push(`item ${item}`))
      const time = ctx.now().getTime()
      await ctx.waitForEvent('go')
      const again = await ctx.step('again', () => uuid)
      return [again === uuid, a, b, many, items.length, time > 0, ctx.random() < 1]
    })
    await database.start([old, child])
    const id = await database.client.enqueue(old, null, { organizationId })
    await expect.poll(async () => (await database.query("select 1 from public.fw_execution_steps where execution_id = $1 and node_id = 'event go'", [id])).length, { timeout: 20_000 }).toBe(1)
    await untilStatus(database, id, 'waiting')
    await makeOld(id)
    await database.client.emit(organizationId, 'go')
    expect(await database.client.result(id)).toEqual([true, 1, 'b', [1, 2], 2, true, true])
    expect(runs).toEqual(['a', 'item 1', 'item 2'])
  })

  test('after a race, whose winner it keeps, and branches of different speed', async () => {
    const organizationId = await database.organization()
    const told: string[] = []
    const race = flow('old race', async (ctx) => {
      const slow = ctx.step('slow', async () => {
        await pause(150)
        return 'slow'
      })
      const winner = await Promise.race([slow, ctx.step('fast', () => 'fast')])
      await ctx.step(`tell of ${winner}`, () => told.push(winner))
      await slow
      await Promise.all(['A', 'B'].map(async (item) => {
        await ctx.step(`look up ${item}`, () => pause(item === 'A' ? 120 : 1))
        await ctx.step(`ship ${item}`, () => told.push(item))
      }))
      await ctx.waitForEvent('go')
      return winner
    })
    await database.start(race)
    const id = await database.client.enqueue(race, null, { organizationId })
    await untilStatus(database, id, 'waiting')
    await makeOld(id)
    await database.client.emit(organizationId, 'go')
    expect(await database.client.result(id, { timeout: '30s' })).toBe('fast')
    expect(told.toSorted()).toEqual(['A', 'B', 'fast'])
  })
})
