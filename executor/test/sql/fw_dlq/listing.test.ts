import { expect, test } from 'vitest'
import { claim, claimOne, enqueue, executor, one, organization, reportFailures, sendRaw, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

test('the view shows who failed, with what, in which step, at which attempt, where and when', async () => {
  const name = workflow()
  const organizationId = await organization(database)
  const x = await executor(database, name)
  const id = one(await enqueue(database, name, organizationId))
  await reportFailures(database, x, [{ ...(await claimOne(database, x)), error: 'no such page', category: 'NOT_FOUND', permanent: true, step: 'fetch page' }])
  const row = one(await database.query('select * from public.fw_dlq where organization_id = $1', [organizationId]))
  expect(Object.keys(row)).toEqual([
    'msg_id',
    'enqueued_at',
    'organization_id',
    'execution_id',
    'workflow_name',
    'attempt',
    'error',
    'error_category',
    'failed_at',
    'rejected',
    'message',
    'step',
    'executor',
  ])
  expect(row).toMatchObject({
    organization_id: organizationId,
    execution_id: id,
    workflow_name: name,
    attempt: '1',
    error: 'no such page',
    error_category: 'NOT_FOUND',
    rejected: false,
    step: 'fetch page',
    executor: 'test',
  })
  expect(new Date(String(row['failed_at']))).toEqual(row['enqueued_at'])
})

test('the view survives whatever lies in the queue', async () => {
  const x = await executor(database, workflow())
  const sent = await sendRaw(database, { organization_id: 'x', execution_id: ['y'], attempt: { z: 1 } })
  await claim(database, x)
  await sendRaw(database, 'put here by hand', 'workflow_dlq')
  const rows = await database.query('select * from public.fw_dlq order by msg_id desc limit 2')
  expect(rows[0]).toMatchObject({ organization_id: null, execution_id: null, error: null, rejected: false, message: 'put here by hand' })
  expect(rows[1]).toMatchObject({ organization_id: null, execution_id: null, attempt: '{"z": 1}', rejected: true })
  expect(await database.query('select from pgmq.q_workflow_execution_queue where msg_id = $1', [sent])).toEqual([])
})
