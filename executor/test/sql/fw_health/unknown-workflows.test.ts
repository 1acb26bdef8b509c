import { expect, test } from 'vitest'
import { claim, enqueue, executor, makeVisible, one, organization, sendRaw, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

const subject = async () =>
  one(await database.query<{ is_ok: boolean; detail: string; hint: string | null }>("select is_ok, detail, hint from public.fw_health() where subject = 'unknown workflows'"))

const WELL = { is_ok: true, detail: 'no work waits for a workflow that no live executor runs', hint: null }

test('work for a workflow that nobody runs is not ok, with its name, until somebody runs it', async () => {
  await executor(database, workflow())
  expect(await subject()).toEqual(WELL)
  const [name, organizationId] = [workflow(), await organization(database)]
  await enqueue(database, name, organizationId)
  expect(await subject()).toEqual({
    is_ok: false,
    detail: `work waits for workflows that no live executor runs: '${name}', such as work of organization ${organizationId}`,
    hint: expect.stringContaining('Start an executor that has them: fw run <module>.') as unknown,
  })
  const x = await executor(database, name)
  expect(await subject()).toEqual(WELL)
  expect(await claim(database, x)).toHaveLength(1)
})

test('it is found also when a claim has put it off, and behind work that is known', async () => {
  const [known, unknown, organizationId] = [workflow(), workflow(), await organization(database, { batchSize: 5 })]
  const x = await executor(database, known)
  const id = one(await enqueue(database, unknown, organizationId))
  await claim(database, x)
  const [{ is_put_off: isPutOff } = { is_put_off: null }] = await database.query<{ is_put_off: boolean }>(
    "select vt > now() as is_put_off from pgmq.q_workflow_execution_queue where message ->> 'execution_id' = $1", [id])
  expect(isPutOff).toBe(true)
  await enqueue(database, known, organizationId, 200)
  expect(await subject()).toMatchObject({ is_ok: false, detail: expect.stringContaining(unknown) as unknown })
  await makeVisible(database, [id])
  await database.query("delete from pgmq.q_workflow_execution_queue where message ->> 'organization_id' = $1", [organizationId])
  await database.query('delete from public.fw_workflow_executions where organization_id = $1', [organizationId])
})

test('work of a disabled organization, what runs, and what nobody could run is not counted', async () => {
  const name = workflow()
  const x = await executor(database, name)
  await enqueue(database, workflow(), await organization(database, { enabled: false }))
  const organizationId = await organization(database)
  await enqueue(database, name, organizationId)
  await claim(database, x)
  await sendRaw(database, { organization_id: organizationId, workflow_name: 'of no execution' })
  // Its executor goes on with other code.
  await database.query('update public.fw_executors set workflows = $2 where id = $1', [x, [workflow()]])
  expect(await subject()).toEqual(WELL)
})
