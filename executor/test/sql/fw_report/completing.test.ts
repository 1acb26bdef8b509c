import { describe, expect, test } from 'vitest'
import { claim, claimOne, enqueue, execution, executor, messages, one, organization, report, sqlDatabase, withSessions, workflow, untilBlocked } from '../../support/sql.js'

const database = sqlDatabase()

async function scene(settings = {}, count = 1) {
  const name = workflow()
  const organizationId = await organization(database, settings)
  const x = await executor(database, name)
  const ids = await enqueue(database, name, organizationId, count)
  return { name, organizationId, x, ids, id: ids[0] ?? '' }
}

const steps = (id: string) => database.query('select * from public.fw_execution_steps where execution_id = $1 order by step_index', [id])
const run = async (batchId: string) => one(await database.query('select * from public.fw_worker_runs where id = $1', [batchId]))
const isRunning = async (organizationId: string) =>
  one(await database.query<{ worker_running: boolean }>('select worker_running from public.fw_module_settings where organization_id = $1', [organizationId]))
    .worker_running

describe('a report', () => {
  test('completes executions with their outputs and takes their messages away', async () => {
    const { organizationId, x, ids } = await scene({}, 3)
    const held = await claim(database, x)
    const outputs: unknown[] = [{ total: 12 }, null, undefined]
    const results = ids.map((id, at) => ({ ...one(held.filter((row) => row.execution_id === id)), output: outputs[at] }))
    expect(await report(database, x, results)).toEqual([])
    const rows = await Promise.all(ids.map((id) => execution(database, id)))
    expect(rows.map((row) => [row.status, row.output])).toEqual([['completed', { total: 12 }], ['completed', null], ['completed', null]])
    expect(rows.every((row) => row.completed_at !== null && row.dlq_msg_id === null && row.last_error === null)).toBe(true)
    expect(await messages(database, organizationId)).toEqual([])
  })

  test('writes the steps that ride with it', async () => {
    const { organizationId, x, id } = await scene()
    const held = await claimOne(database, x)
    await report(database, x, [
      { ...held, completed: [{ name: 'charge', index: 0, output: { paid: true }, durationMs: 1500 }, { name: 'mail', index: 1, output: null, durationMs: 0 }] },
    ])
    const written = await steps(id)
    expect(written).toMatchObject([
      { node_id: 'charge', step_index: 0, organization_id: organizationId, attempt_number: 1, status: 'completed', output_data: { paid: true }, duration_ms: 1500 },
      { node_id: 'mail', step_index: 1, organization_id: organizationId, attempt_number: 1, status: 'completed', output_data: null, duration_ms: 0 },
    ])
    const [charge] = written
    expect((charge?.['completed_at'] as Date).getTime() - (charge?.['started_at'] as Date).getTime()).toBe(1500)
  })

  test('of steps alone keeps the execution running', async () => {
    const { organizationId, x, id } = await scene()
    const held = await claimOne(database, x)
    const before = await execution(database, id)
    expect(await report(database, x, [{ ...held, done: false, completed: [{ name: 'a', index: 0, output: 1 }] }])).toEqual([])
    expect(await execution(database, id)).toEqual(before)
    expect(await messages(database, organizationId)).toHaveLength(1)
    expect(await run(held.batch_id)).toMatchObject({ open: 1, succeeded: 0, finished_at: null })
    expect(await steps(id)).toHaveLength(1)
    expect(await report(database, x, [{ ...held, completed: [{ name: 'b', index: 1, output: 2 }] }])).toEqual([])
    expect((await steps(id)).map((step) => step['node_id'])).toEqual(['a', 'b'])
  })

  test('never rewrites a completed step', async () => {
    const { x, id } = await scene()
    const held = await claimOne(database, x)
    await report(database, x, [{ ...held, done: false, completed: [{ name: 'a', index: 0, output: 'first', durationMs: 5 }] }])
    const before = await steps(id)
    await report(database, x, [{ ...held, done: false, completed: [{ name: 'a', index: 3, output: 'second', durationMs: 9 }, { name: 'b', index: 1, output: 'new' }] }])
    expect((await steps(id)).filter((step) => step['node_id'] === 'a')).toEqual(before)
    expect(await steps(id)).toHaveLength(2)
  })

  test('that brings a step twice records the first', async () => {
    const { x, id } = await scene()
    const held = await claimOne(database, x)
    const completed = [{ name: 'a', index: 0, output: 'first' }, { name: 'a', index: 1, output: 'second' }, { name: 'b', index: 2, output: 'other' }]
    expect(await report(database, x, [{ ...held, completed }])).toEqual([])
    expect(await steps(id)).toMatchObject([{ node_id: 'a', step_index: 0, output_data: 'first' }, { node_id: 'b', output_data: 'other' }])
    expect(await execution(database, id)).toMatchObject({ status: 'completed' })
  })

  test('tells steps of the same name in different executions apart', async () => {
    const { x, ids } = await scene({}, 3)
    const held = await claim(database, x)
    const results = ids.map((id, n) => ({
      ...one(held.filter((row) => row.execution_id === id)),
      completed: n === 1 ? [] : [{ name: 'a', index: 0, output: `of ${n}` }],
    }))
    await report(database, x, results)
    const outputs = await Promise.all(ids.map(async (id) => (await steps(id)).map((step) => step['output_data'])))
    expect(outputs).toEqual([['of 0'], [], ['of 2']])
  })

  test('of nothing does nothing', async () => {
    const { x } = await scene()
    expect(await report(database, x, [])).toEqual([])
  })

  test('that names an execution twice counts it once', async () => {
    const { organizationId, x, id } = await scene()
    const held = await claimOne(database, x)
    const checkpointed = { ...held, done: false, completed: [{ name: 'a', index: 0, output: 1 }] }
    expect(await report(database, x, [checkpointed, { ...held, output: 'once' }, { ...held, output: 'once' }])).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'completed', output: 'once' })
    expect(await run(held.batch_id)).toMatchObject({ size: 1, open: 0, succeeded: 1, finished_at: expect.any(Date) as unknown })
    expect(await isRunning(organizationId)).toBe(false)
  })
})

describe('the batch of a report', () => {
  test('closes with its last execution, and the worker no longer runs', async () => {
    const { organizationId, x } = await scene({}, 3)
    const held = await claim(database, x)
    const batchId = held[0]?.batch_id ?? ''
    await report(database, x, held.slice(0, 2))
    expect(await run(batchId)).toMatchObject({ size: 3, open: 1, succeeded: 2, finished_at: null })
    expect(await isRunning(organizationId)).toBe(true)
    await report(database, x, held.slice(2))
    expect(await run(batchId)).toMatchObject({ size: 3, open: 0, succeeded: 3, finished_at: expect.any(Date) as unknown })
    expect(await isRunning(organizationId)).toBe(false)
  })

  test('leaves the worker running while another batch of the organization is open', async () => {
    const { organizationId, x } = await scene({ batchSize: 1, concurrency: 2 }, 2)
    const [first, second] = await claim(database, x)
    if (first === undefined || second === undefined) throw new Error('two batches were expected')
    expect(first.batch_id).not.toBe(second.batch_id)
    await report(database, x, [first])
    expect(await isRunning(organizationId)).toBe(true)
    await report(database, x, [second])
    expect(await isRunning(organizationId)).toBe(false)
  })

  test('and the only other one, closed by two sessions at once, leave the worker not running', async () => {
    const { organizationId, x } = await scene({ batchSize: 1, concurrency: 2 }, 2)
    const [first, second] = await claim(database, x)
    if (first === undefined || second === undefined) throw new Error('two batches were expected')
    await withSessions(database, 2, async (a, b) => {
      await a.query('begin')
      expect(await report(a, x, [first])).toEqual([])
      // The second waits for the first's lock and must then see that both are closed.
      const waiting = report(b, x, [second])
      await untilBlocked(database, b)
      await a.query('commit')
      expect(await waiting).toEqual([])
    })
    expect(await isRunning(organizationId)).toBe(false)
  })

  test('keeps the organizations of one report apart', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const organizations = [await organization(database), await organization(database), await organization(database)]
    for (const organizationId of organizations) await enqueue(database, name, organizationId, 2)
    const held = await claim(database, x)
    expect(held).toHaveLength(6)
    const kept = one(held.filter((row) => row.organization_id === organizations[1]).slice(0, 1))
    await report(database, x, held.filter((row) => row !== kept))
    expect(await Promise.all(organizations.map(isRunning))).toEqual([false, true, false])
  })
})
