import { describe, expect, test } from 'vitest'
import { claim, claimOne, deadLetter, enqueue, execution, executor, expireLeases, makeVisible, messages, one, organization, reportFailures, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function scene(count = 1, policy = {}) {
  const name = workflow()
  const organizationId = await organization(database, { batchSize: 50 })
  const x = await executor(database, name, policy)
  const ids = await enqueue(database, name, organizationId, count)
  return { name, organizationId, x, ids, id: ids[0] ?? '' }
}

interface Attempt extends Record<string, unknown> {
  error: string
  stack: string
}

const attempts = (id: string) => database.query<Attempt>('select * from public.fw_failed_attempts where execution_id = $1 order by id', [id])

describe('a failed attempt', () => {
  test('leaves a row with error, category, step, stack, executor, batch and time', async () => {
    const { organizationId, x, id } = await scene()
    const held = await claimOne(database, x)
    await reportFailures(database, x, [{ ...held, error: 'no network', category: 'EXTERNAL_SERVICE', step: 'fetch', stack: 'Error: no network\n    at fetch' }])
    expect(await attempts(id)).toEqual([
      {
        id: expect.any(String) as unknown,
        execution_id: id,
        organization_id: organizationId,
        attempt: 1,
        error: 'no network',
        error_category: 'EXTERNAL_SERVICE',
        is_permanent: false,
        step: 'fetch',
        stack: 'Error: no network\n    at fetch',
        outcome: 'retry_pending',
        executor_id: x,
        executor_name: 'test',
        batch_id: held.batch_id,
        failed_at: expect.any(Date) as unknown,
      },
    ])
  })

  test('of several in one call has what was reported of it, in whatever order', async () => {
    const { x, ids } = await scene(5)
    const held = await claim(database, x)
    await reportFailures(database, x, held.toReversed().map((row) => ({ ...row, error: `error of ${row.execution_id}`, step: `step of ${row.execution_id}`, permanent: row.execution_id === ids[2] })))
    for (const id of ids) {
      expect(one(await attempts(id))).toMatchObject({ error: `error of ${id}`, step: `step of ${id}`, outcome: id === ids[2] ? 'failed' : 'retry_pending', is_permanent: id === ids[2] })
    }
  })

  test('does not overwrite the ones before it, also not when a dead letter is put back and fails again', async () => {
    const { x, id } = await scene(1, { max_attempts: 2 })
    for (const error of ['first', 'second']) {
      await reportFailures(database, x, [{ ...(await claimOne(database, x)), error, delayMs: 0 }])
    }
    const { dlq_msg_id } = await execution(database, id)
    await database.query('select public.fw_dlq_retry($1)', [dlq_msg_id])
    await reportFailures(database, x, [{ ...(await claimOne(database, x)), error: 'third', delayMs: 0 }])
    expect(await attempts(id)).toMatchObject([
      { attempt: 1, error: 'first', outcome: 'retry_pending' },
      { attempt: 2, error: 'second', outcome: 'failed' },
      { attempt: 1, error: 'third', outcome: 'retry_pending' },
    ])
  })

  test('that is reported twice, or too late, is recorded once or not at all', async () => {
    const { x, id } = await scene()
    const held = await claimOne(database, x)
    await reportFailures(database, x, [held, held])
    expect(await reportFailures(database, x, [held])).toEqual({ [id]: 'fenced' })
    expect(await attempts(id)).toHaveLength(1)
  })

  test('of an executor of an older version, which says neither step nor stack, is recorded without them', async () => {
    const { x, id } = await scene()
    const held = await claimOne(database, x)
    await database.query('select * from public.fw_report_failures($1, $2, $3, $4, $5, $6)', [x, [id], [held.batch_id], ['it broke'], ['RUNTIME'], [true]])
    expect(one(await attempts(id))).toMatchObject({ error: 'it broke', step: null, stack: null, outcome: 'failed' })
  })

  test('whose error and stack are longer than anybody reads is cut', async () => {
    const { x, id } = await scene()
    await reportFailures(database, x, [{ ...(await claimOne(database, x)), error: 'e'.repeat(50_000), stack: 's'.repeat(50_000), step: 'n'.repeat(500) }])
    const { error, stack, step } = one(await attempts(id))
    expect([error.length, stack.length, String(step).length]).toEqual([10_001, 10_001, 200])
  })
})

test('an attempt whose lease ran out names the executor that has vanished', async () => {
  const { name, x, id } = await scene(1, { max_attempts: 2 })
  const batches: string[] = []
  for (let attempt = 1; attempt <= 2; attempt++) {
    const held = await claimOne(database, x)
    batches.push(held.batch_id)
    await expireLeases(database, [held])
    await makeVisible(database, [id])
  }
  const y = await executor(database, name, { max_attempts: 2 })
  expect(await claim(database, y)).toEqual([])
  const common = { executor_id: x, executor_name: 'test', error: 'the lease ran out before the executor reported', error_category: 'TIMEOUT', step: null, stack: null }
  expect(await attempts(id)).toMatchObject([
    { ...common, attempt: 1, batch_id: batches[0], outcome: 'retry_pending' },
    { ...common, attempt: 2, batch_id: batches[1], outcome: 'failed' },
  ])
})

test('a dead letter has the step and the executor, and no message that is put back has them', async () => {
  const { organizationId, x, id } = await scene()
  await reportFailures(database, x, [{ ...(await claimOne(database, x)), permanent: true, step: 'charge card' }])
  const letter = one(await database.query<{ msg_id: string }>("select msg_id from public.fw_dlq where execution_id = $1 and step = 'charge card' and executor = 'test'", [id]))
  await database.query('select public.fw_dlq_retry($1)', [letter.msg_id])
  const clean = { execution_id: id, organization_id: organizationId, attempt: 1 }
  expect(Object.keys(one(await messages(database, organizationId)).message as object).sort()).toEqual([...Object.keys(clean), 'workflow_name'].sort())
  // By hand, as the guide says.
  const again = await deadLetter(database, x, await claimOne(database, x))
  await database.query(
    `with dlq_msg as (select message from pgmq.q_workflow_dlq where msg_id = $1)
     select pgmq.send('workflow_execution_queue', jsonb_set(message, '{attempt}', '1'::jsonb)) from dlq_msg`,
    [again],
  )
  await database.query("select pgmq.delete('workflow_dlq', $1::bigint)", [again])
  expect(await claimOne(database, x)).toMatchObject({ execution_id: id, attempt: 1 })
  expect(Object.keys(one(await messages(database, organizationId)).message as object).sort()).toEqual([...Object.keys(clean), 'workflow_name'].sort())
})
