// Somebody's session holds the rows of one organization, for long; the work of another one goes on beside it, on the same executor, which
// has a single lane: with two, some of what is locked could hide in one of them.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type pg from 'pg'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, gate, type Gate, until, untilFinished } from '../support/executor.js'
import { one } from '../support/sql.js'

const database = executorDatabase()

let going: Gate
const good = workflow({ name: 'good', input: z.object({ n: z.number() }) }, async (ctx, { n }) => {
  const doubled = await ctx.step('double', () => n * 2)
  await ctx.sleep(1)
  return await ctx.step('add', () => doubled + 1)
})
const bad = workflow({ name: 'bad', input: z.unknown(), retry: { backoff: { initial: 1, max: 1 } } }, async (ctx) => {
  await ctx.step('first', () => going.opened)
  ctx.progress(0.5)
  await ctx.sleep(1)
  await ctx.step('second', () => null)
})

let worst = ''
let other = ''
let holder: pg.PoolClient

beforeEach(async () => {
  going = gate()
  worst = await database.organization()
  other = await database.organization()
  holder = await database.pool.connect()
})

afterEach(() => {
  going.open()
  holder.release(true)
})

async function hold(...tables: string[]): Promise<void> {
  await holder.query('begin')
  for (const table of tables) {
    const organization = table.startsWith('pgmq') ? "(message ->> 'organization_id')::uuid" : 'organization_id'
    await holder.query(`select from ${table} where ${organization} = $1 for update`, [worst])
  }
}

async function othersComplete(rounds = 3): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const ids = await database.client.enqueueMany(good, Array.from({ length: 20 }, (_, n) => ({ n })), { organizationId: other })
    const results = await Promise.all(ids.map((id) => database.client.result(id, { timeout: '15s' })))
    expect(results).toEqual(Array.from({ length: 20 }, (_, n) => n * 2 + 1))
  }
}

/** What became of it all once the rows are free: every execution has completed, at its first attempt. */
async function worstCompletes(count: number): Promise<void> {
  await holder.query('rollback')
  await untilFinished(database, 'bad')
  expect(await database.query(
    `select status, retry_count, count(*)::int as count from public.fw_workflow_executions where organization_id = $1 group by 1, 2`, [worst],
  )).toEqual([{ status: 'completed', retry_count: 0, count }])
}

const enqueueBad = (count: number) => database.client.enqueueMany(bad, Array.from({ length: count }, (_, n) => n), { organizationId: worst })

describe('rows of one organization that somebody holds', () => {
  test.each([
    ['batches', ['public.fw_worker_runs']],
    ['executions', ['public.fw_workflow_executions']],
    ['messages', ['pgmq.q_workflow_execution_queue']],
    ['settings', ['public.fw_module_settings']],
    ['rows of all kinds', ['public.fw_worker_runs', 'pgmq.q_workflow_execution_queue', 'public.fw_workflow_executions', 'public.fw_module_settings']],
  ])('%s: what runs cannot report, and nobody else waits for that', async (_, tables) => {
    const executor = await database.start([good, bad], { lanes: 1 })
    await enqueueBad(30)
    await until('they run', () => executor.stats.inFlight === 30)
    await hold(...tables)
    going.open()
    await othersComplete()
    await worstCompletes(30)
  })

  test('executions: what waits to be claimed is passed by, and loses no attempt', async () => {
    going.open()
    await enqueueBad(30)
    await hold('public.fw_workflow_executions')
    await database.start([good, bad], { lanes: 1 })
    await othersComplete()
    await worstCompletes(30)
  })

  test('executions: the tick offers the work of others', async () => {
    await enqueueBad(3)
    await database.client.enqueue(good, { n: 1 }, { organizationId: other })
    await hold('public.fw_workflow_executions')
    const { id } = one(await database.query<{ id: string }>(
      `select public.fw_register_executor('waits', '[{"name": "good"}, {"name": "bad"}]', 4) as id`))
    await database.query('update public.fw_executors set wants_work = true where id = $1', [id])
    await database.query('select * from public.fw_worker_tick()')
    expect(await database.query('select organization_id, open from public.fw_worker_runs where finished_at is null')).toEqual([
      { organization_id: other, open: 1 },
    ])
    await holder.query('rollback')
    await database.query("select public.fw_cancel_execution(e.id) from public.fw_workflow_executions e where e.status in ('queued', 'running')")
  })

  test('executions: the watchdog ends others that are late', async () => {
    const ids = await enqueueBad(4)
    const { id } = one(await database.query<{ id: string }>(`select public.fw_register_executor('hangs', '[{"name": "bad"}]', 4) as id`))
    await database.query('select * from public.fw_claim_batches($1, 10)', [id])
    await database.query("update public.fw_workflow_executions set deadline_at = now() - interval '1 minute' where id = any ($1)", [ids])
    await database.query('update public.fw_executors set stopped_at = now()')
    await holder.query('begin')
    await holder.query('select from public.fw_workflow_executions where id = any ($1) for update', [ids.slice(0, 2)])
    const ended = await database.query<{ execution_id: string }>('select execution_id from public.fw_check_deadlines()')
    expect(ended.map((each) => each.execution_id).sort()).toEqual(ids.slice(2).sort())
    await holder.query('rollback')
    const late = await database.query<{ execution_id: string }>('select execution_id from public.fw_check_deadlines()')
    expect(late.map((each) => each.execution_id).sort()).toEqual(ids.slice(0, 2).sort())
  })
})
