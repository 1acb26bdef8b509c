// Reasons and words of progress that are far too long: each is kept cut to its limit, whoever gives it.
import { expect, test } from 'vitest'
import { claimOne, deadLetter, enqueue, executor, one, organization, reportFailures, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

const ERROR_LIMIT = 10_000
const PROGRESS_LIMIT = 1000
/** Made by the server: the driver would take long to send it. */
const LONG = "repeat('x', 100000000)"

async function running(): Promise<{ x: string; execution_id: string; batch_id: string; organizationId: string }> {
  const name = workflow()
  const organizationId = await organization(database)
  const x = await executor(database, name)
  await enqueue(database, name, organizationId)
  return { ...(await claimOne(database, x)), x, organizationId }
}

/** The length of the longest text in any column of the rows that a query gives. */
async function longest(query: string, values: unknown[] = []): Promise<number> {
  const { length } = one(
    await database.query<{ length: number }>(`select max(octet_length(f.value))::integer as length from (${query}) r cross join lateral jsonb_each_text(to_jsonb(r)) f`, values),
  )
  return length
}

const everythingOf = (id: string) =>
  longest(
    `select e.last_error, e.error_category, e.compensating, e.progress_text, d.message, n.message as notice, k.reason, k.recorded, k.asked
     from public.fw_workflow_executions e
     left join pgmq.q_workflow_dlq d on d.msg_id = e.dlq_msg_id left join public.fw_notices n on n.execution_id = e.id
     left join public.fw_parked_executions k on k.execution_id = e.id
     where e.id = $1`,
    [id],
  )

test('a reason to cancel is cut to error_limit', async () => {
  const { execution_id } = await running()
  await database.query(`select public.fw_cancel_execution($1, ${LONG})`, [execution_id])
  expect(await everythingOf(execution_id)).toBe('cancelled: '.length + ERROR_LIMIT)
})

test('a reason to fail is cut to error_limit, in the dead letter too', async () => {
  const { execution_id } = await running()
  await database.query(`select public.fw_fail_execution($1, ${LONG})`, [execution_id])
  const most = await everythingOf(execution_id)
  expect(most).toBeGreaterThanOrEqual(ERROR_LIMIT)
  expect(most).toBeLessThan(2 * ERROR_LIMIT)
})

test('words of progress are cut to progress_limit, also those of an executor of an older version', async () => {
  const { x, execution_id, batch_id } = await running()
  await database.query(`select public.fw_set_progress($1, $2, $3, 0.5, ${LONG})`, [x, execution_id, batch_id])
  expect(await everythingOf(execution_id)).toBe(PROGRESS_LIMIT)
  await database.query(`select public.fw_note_progress($1, array[$2::uuid], array[$3::uuid], array[0.5::real], array[${LONG}])`, [x, execution_id, batch_id])
  expect(await everythingOf(execution_id)).toBe(PROGRESS_LIMIT)
})

test('the category of an error is cut', async () => {
  const { x, execution_id, batch_id } = await running()
  await database.query(`select public.fw_report_failures($1, array[$2::uuid], array[$3::uuid], array['it broke'], array[${LONG}], array[true])`, [x, execution_id, batch_id])
  expect(await everythingOf(execution_id)).toBeLessThan(1000)
  expect(await longest('select error_category from public.fw_failed_attempts where execution_id = $1', [execution_id])).toBe(200)
})

test('what an executor says when it begins to compensate is cut to error_limit', async () => {
  const { x, execution_id, batch_id } = await running()
  await database.query(`select public.fw_begin_compensation($1, $2, $3, ${LONG}, ${LONG})`, [x, execution_id, batch_id])
  expect(await everythingOf(execution_id)).toBeLessThan(ERROR_LIMIT + 500)
  await reportFailures(database, x, [{ execution_id, batch_id, permanent: true }])
})

test('what an executor says when it parks is cut', async () => {
  const { x, execution_id, batch_id } = await running()
  await database.query(`select public.fw_park($1, array[$2::uuid], array[$3::uuid], array[${LONG}], array[${LONG}], array[${LONG}])`, [x, execution_id, batch_id])
  expect(await everythingOf(execution_id)).toBe(10_000)
})

test('reasons to pause and to extend a deadline are cut to error_limit', async () => {
  const { x, execution_id, batch_id } = await running()
  await database.query(`select public.fw_extend_deadline($1, 5, ${LONG})`, [execution_id])
  expect(await everythingOf(execution_id)).toBeLessThan(ERROR_LIMIT + 200)
  await deadLetter(database, x, { execution_id, batch_id })
  await database.query(`select public.fw_pause(${LONG})`)
  try {
    expect(await longest('select pause_reason from public.fw_worker_config')).toBe(ERROR_LIMIT)
  } finally {
    await database.query('select public.fw_resume()')
  }
})
