import { expect, test } from 'vitest'
import { watchedSession } from '../../support/plans.js'
import { enqueue, execution, executor, one, organization, sqlDatabase, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

const QUEUE = 'workflow_execution_queue'

const look = async (budget = '0 seconds') => Number(one(await database.query<{ mended: string }>('select public.fw_mend_messages($1) as mended', [budget])).mended)

const isMissing = async (id: string) =>
  one(await database.query<{ missing: boolean }>('select not exists (select from pgmq.q_workflow_execution_queue q where q.msg_id = e.msg_id) as missing from public.fw_workflow_executions e where e.id = $1', [id])).missing

async function strandedUnder(finished: number): Promise<string> {
  const name = workflow()
  const organizationId = await organization(database)
  await executor(database, name)
  const id = one(await enqueue(database, name, organizationId))
  await database.query(`select pgmq.delete('${QUEUE}', msg_id) from public.fw_workflow_executions where id = $1`, [id])
  await database.query(
    `insert into public.fw_workflow_executions (id, workflow_name, organization_id, input, msg_id, status, completed_at, not_before)
     select public.fw_uuid(), $1, $2, '{}', 0, 'completed', now(), null from generate_series(1, $3)`,
    [name, organizationId, finished],
  )
  return id
}

test('one look takes the newest and goes on from where the last one stopped, until it has seen all and begins anew', async () => {
  const id = await strandedUnder(9000)
  const looks: number[] = []
  for (let turn = 0; turn < 8 && (await isMissing(id)); turn += 1) looks.push(await look())
  expect(await isMissing(id)).toBe(false)
  expect(looks.at(-1)).toBe(1)
  // The next one is found as well, wherever the look stands.
  await database.query(`select pgmq.delete('${QUEUE}', msg_id) from public.fw_workflow_executions where id = $1`, [id])
  for (let turn = 0; turn < 8 && (await isMissing(id)); turn += 1) await look()
  expect(await isMissing(id)).toBe(false)
  // With time enough one look sees all.
  await database.query(`select pgmq.delete('${QUEUE}', msg_id) from public.fw_workflow_executions where id = $1`, [id])
  expect(await look('1 minute')).toBe(1)
})

test('no look reads a table from end to end', async () => {
  const watched = await watchedSession(database)
  try {
    const plans = await watched.plansOf(() => watched.on.query("select public.fw_mend_messages('0 seconds')"))
    expect(plans.length).toBeGreaterThan(3)
    expect(plans.filter((plan) => /Seq Scan on (fw_workflow_executions|q_workflow|fw_execution_steps|fw_worker_runs)/.test(plan))).toEqual([])
  } finally {
    await watched.end()
  }
})

test('what somebody holds locked is left to a later look, and nobody waits', async () => {
  const name = workflow()
  const organizationId = await organization(database)
  const [a = '', b = ''] = await enqueue(database, name, organizationId, 2)
  await database.query(`select pgmq.delete('${QUEUE}', msg_id) from public.fw_workflow_executions where id = any ($1::uuid[])`, [[a, b]])
  await withSessions(database, 1, async (session) => {
    await session.query('begin')
    await session.query('select from public.fw_workflow_executions where id = $1 for update', [a])
    expect(await look()).toBe(1)
    expect([await isMissing(a), await isMissing(b)]).toEqual([true, false])
    await session.query('commit')
  })
  expect(await look()).toBe(1)
  expect(await isMissing(a)).toBe(false)
})

test('a look that fails stops no tick', async () => {
  const name = workflow()
  const organizationId = await organization(database)
  const by = await executor(database, name)
  await database.query("create function public.fw_test_break() returns trigger language plpgsql as $$ begin raise exception 'broken by the test'; end $$")
  const [broken = ''] = await enqueue(database, name, organizationId)
  await database.query(`create trigger fw_test_break before update on public.fw_workflow_executions for each row when (old.id = '${broken}') execute function public.fw_test_break()`)
  try {
    await database.query(`select pgmq.delete('${QUEUE}', msg_id) from public.fw_workflow_executions where id = $1`, [broken])
    const [other = ''] = await enqueue(database, name, organizationId)
    await database.query('select * from public.fw_worker_tick()')
    expect(await execution(database, other)).toMatchObject({ status: 'running' })
  } finally {
    await database.query('drop trigger fw_test_break on public.fw_workflow_executions')
    await database.query('drop function public.fw_test_break()')
  }
  await database.query('update public.fw_executors set stopped_at = now() where id = $1', [by])
  expect(await look()).toBe(1)
})
