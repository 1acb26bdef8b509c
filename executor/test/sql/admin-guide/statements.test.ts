import { describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { claim, claimOne, deadLetter, enqueue, execution, executor, makeVisible, messages, one, organization, report, reportFailures, sqlDatabase, workflow } from '../../support/sql.js'
import { guideBlockCount, guideBlocks, GUIDES, withVariables } from './admin-guide.js'

const database = sqlDatabase()

async function statementsUnder(guide: string, heading: string, count: number): Promise<string[]> {
  const blocks = (await guideBlocks(guide, heading)).flat()
  expect(blocks).toHaveLength(count)
  return blocks
}

async function scene(settings = {}) {
  const name = workflow()
  const organizationId = await organization(database, settings)
  const x = await executor(database, name)
  return { name, organizationId, x }
}

async function number(statement: string, column: string): Promise<number> {
  return Number(one(await database.query(statement))[column])
}

test.each(GUIDES)('every SQL block of %s is run by a test here', async (guide) => {
  expect(await guideBlockCount(guide)).toBe(5)
})

describe.each(GUIDES)('%s, statement by statement:', (guide) => {
  test('Check Queue Depth counts what waits, and neither what runs nor what is delayed', async () => {
    const [depth] = await statementsUnder(guide, 'Check Queue Depth', 1)
    const count = () => number(depth ?? '', 'pending_messages')
    const { name, organizationId, x } = await scene()
    const before = await count()
    await enqueue(database, name, organizationId, 3)
    await database.query("select public.fw_enqueue($1, '{}', $2, p_delay => '1 hour')", [name, organizationId])
    expect(await count()).toBe(before + 3)
    const [held] = await claim(database, x, 1)
    expect(await count()).toBe(before + 2)
    if (held === undefined) throw new Error('an execution was expected')
    await report(database, x, [held])
    expect(await count()).toBe(before + 2)
  })

  test('Check Dead Letter Queue counts the dead letters and lists the newest with what went wrong and when', async () => {
    const [count, list] = await statementsUnder(guide, 'Check Dead Letter Queue', 2)
    const { name, organizationId, x } = await scene({ batchSize: 50 })
    const before = await number(count ?? '', 'dlq_messages')
    const ids = await enqueue(database, name, organizationId, 25)
    const held = await claim(database, x)
    for (const row of held) await deadLetter(database, x, row, `error of ${row.execution_id}`)
    expect(await number(count ?? '', 'dlq_messages')).toBe(before + 25)
    const rows = await database.query<{ execution_id: string; msg_id: string; error: string; failed_at: string; enqueued_at: Date }>(list ?? '')
    expect(rows).toHaveLength(20)
    expect(rows.map((row) => row.execution_id)).toEqual(held.map((row) => row.execution_id).reverse().slice(0, 20))
    for (const row of rows) {
      expect(ids).toContain(row.execution_id)
      expect(row.error).toBe(`error of ${row.execution_id}`)
      expect(new Date(row.failed_at)).toEqual(row.enqueued_at)
      expect((await execution(database, row.execution_id)).dlq_msg_id).toBe(row.msg_id)
    }
  })

  test('Worker Run History shows for each enabled organization whether it runs, when it last did and with how many', async () => {
    const [history] = await statementsUnder(guide, 'Worker Run History', 1)
    const { name, organizationId, x } = await scene()
    const idle = await organization(database)
    const disabled = await organization(database, { enabled: false })
    await enqueue(database, name, organizationId, 4)
    const held = await claim(database, x)
    const rows = async () => {
      const all = await database.query<{ organization_id: string }>(history ?? '')
      return new Map(all.map((row) => [row.organization_id, row]))
    }
    const running = await rows()
    expect(running.get(organizationId)).toEqual({
      organization_id: organizationId,
      worker_running: true,
      worker_last_run_at: expect.any(Date) as unknown,
      worker_last_batch_size: 4,
    })
    expect(running.get(idle)).toEqual({ organization_id: idle, worker_running: false, worker_last_run_at: null, worker_last_batch_size: null })
    expect(running.has(disabled)).toBe(false)
    await report(database, x, held)
    expect((await rows()).get(organizationId)).toMatchObject({ worker_running: false, worker_last_batch_size: 4 })
  })

  test('DLQ Handling puts a dead letter back: the execution is claimed as attempt 1, completes, and shows no stale error', async () => {
    const [send, remove] = await statementsUnder(guide, 'DLQ Handling', 2)
    const { name, organizationId, x } = await scene()
    const id = one(await enqueue(database, name, organizationId))
    for (let attempt = 1; attempt <= 5; attempt++) {
      const held = await claimOne(database, x)
      await report(database, x, [{ ...held, done: false, completed: [{ name: 'a', index: 0, output: attempt }] }])
      await reportFailures(database, x, [{ ...held, delayMs: 0 }])
    }
    const { dlq_msg_id } = await execution(database, id)
    const variables = { msg_id: dlq_msg_id ?? '' }

    const sent = Number(one(await database.query(withVariables(send ?? '', variables)))['send'])
    expect(one(await messages(database, organizationId))).toMatchObject({ msg_id: String(sent), message: { execution_id: id, attempt: 1 } })
    expect(await database.query(withVariables(remove ?? '', variables))).toEqual([{ delete: true }])
    expect(await database.query('select from public.fw_dlq where organization_id = $1', [organizationId])).toEqual([])
    await expectInvariantsZero(database.pool)

    const claimed = await claimOne(database, x)
    expect(claimed).toMatchObject({ execution_id: id, attempt: 1, steps: [{ name: 'a', output: 1 }] })
    expect(await execution(database, id)).toMatchObject({
      status: 'running',
      retry_count: 0,
      last_error: null,
      error_category: null,
      completed_at: null,
      next_retry_at: null,
      dlq_msg_id: null,
    })
    const { message } = one(await messages(database, organizationId))
    expect(message).toEqual({ execution_id: id, organization_id: organizationId, workflow_name: name, attempt: 1 })
    expect(await report(database, x, [{ ...claimed, output: 'done' }])).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'completed', output: 'done', last_error: null })
    expect(await messages(database, organizationId)).toEqual([])
  })

  test('DLQ Handling gives the execution five attempts again', async () => {
    const [send, remove] = await statementsUnder(guide, 'DLQ Handling', 2)
    const { name, organizationId, x } = await scene()
    const id = one(await enqueue(database, name, organizationId))
    const variables = { msg_id: await deadLetter(database, x, await claimOne(database, x)) }
    await database.query(withVariables(send ?? '', variables))
    await database.query(withVariables(remove ?? '', variables))
    for (let attempt = 1; attempt <= 5; attempt++) {
      const held = await claimOne(database, x)
      expect(held.attempt).toBe(attempt)
      await reportFailures(database, x, [{ ...held, delayMs: 0 }])
      await makeVisible(database, [id])
    }
    expect(await execution(database, id)).toMatchObject({ status: 'failed', retry_count: 4, discarded_at: null })
    expect(one(await database.query('select attempt from public.fw_dlq where organization_id = $1', [organizationId]))).toEqual({ attempt: '5' })
  })

  test('DLQ Handling with the claim between its two statements comes to the same', async () => {
    const [send, remove] = await statementsUnder(guide, 'DLQ Handling', 2)
    const { name, organizationId, x } = await scene()
    const id = one(await enqueue(database, name, organizationId))
    const variables = { msg_id: await deadLetter(database, x, await claimOne(database, x)) }
    await database.query(withVariables(send ?? '', variables))
    const claimed = await claimOne(database, x)
    await database.query(withVariables(remove ?? '', variables))
    expect(await report(database, x, [claimed])).toEqual([])
    expect(await execution(database, id)).toMatchObject({ status: 'completed', dlq_msg_id: null })
  })

  test('DLQ Handling of an id that is not there sends and deletes nothing', async () => {
    const [send, remove] = await statementsUnder(guide, 'DLQ Handling', 2)
    expect(await database.query(withVariables(send ?? '', { msg_id: '987654321' }))).toEqual([])
    expect(await database.query(withVariables(remove ?? '', { msg_id: '987654321' }))).toEqual([{ delete: false }])
  })

  test('Purge Old DLQ Messages discards what is older than 30 days, and nothing else', async () => {
    const [purge] = await statementsUnder(guide, 'Purge Old DLQ Messages', 1)
    const { name, organizationId, x } = await scene({ batchSize: 50 })
    const ids = await enqueue(database, name, organizationId, 3)
    await reportFailures(database, x, (await claim(database, x)).map((held) => ({ ...held, permanent: true })))
    const ages = ['31 days', '29 days', '0']
    for (const [at, age] of ages.entries()) {
      await database.query("update pgmq.q_workflow_dlq set enqueued_at = now() - $2::interval where message ->> 'execution_id' = $1", [ids[at], age])
    }
    await database.query(purge ?? '')
    const left = await database.query<{ execution_id: string }>('select execution_id from public.fw_dlq where organization_id = $1', [organizationId])
    expect(left.map((row) => row.execution_id).sort()).toEqual(ids.slice(1).sort())
    expect(await execution(database, ids[0] ?? '')).toMatchObject({ status: 'failed', dlq_msg_id: null, discarded_at: expect.any(Date) as unknown })
    expect(await execution(database, ids[1] ?? '')).toMatchObject({ status: 'failed', discarded_at: null })
    await expectInvariantsZero(database.pool)
  })

  test('the settings have the columns, defaults and ranges of the table under Configuration', async () => {
    const organizationId = await organization(database)
    const rows = await database.query<{ column_name: string; column_default: string }>(
      `select column_name, column_default from information_schema.columns where table_schema = 'public' and table_name = 'fw_module_settings'
         and column_name in ('fw_execution_worker_enabled', 'fw_worker_batch_size', 'fw_worker_visibility_timeout_seconds') order by 1`,
    )
    expect(rows.map((row) => row.column_default)).toEqual(['false', '10', '30'])
    const recommended = [[5, 30], [10, 60], [25, 120]]
    for (const [batchSize, visibilityTimeout] of recommended) {
      await database.query('select public.fw_save_worker_settings($1, true, $2, $3)', [organizationId, batchSize, visibilityTimeout])
    }
    expect(one(await database.query('select fw_worker_batch_size as size from public.fw_module_settings where organization_id = $1', [organizationId]))).toEqual({ size: 25 })
  })
})
