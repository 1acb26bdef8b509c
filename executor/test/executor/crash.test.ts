import { once } from 'node:events'
import { beforeAll, expect, test } from 'vitest'
import { executorDatabase, expireLease, kill, steps, until, untilNoSessions } from '../support/executor.js'
import { execution, one } from '../support/sql.js'

const database = executorDatabase()
const effects = (id: string) =>
  database.query<{ step: string; pid: number }>('select step, pid from effects where execution_id = $1 order by at', [id])
const enqueue = async (organizationId: string, blocks: boolean) =>
  one(
    await database.query<{ id: string }>("select public.fw_enqueue('three steps', jsonb_build_object('blocks', $2::boolean), $1) as id", [
      organizationId,
      blocks,
    ]),
  ).id

beforeAll(async () => {
  await database.query('create table effects (execution_id uuid, step text, pid integer, at timestamptz default clock_timestamp())')
})

test('an executor that is killed in the middle of a step: another finishes the execution, without its completed steps', async () => {
  const organizationId = await database.organization()
  const first = database.spawn('three-steps.ts')
  const id = await enqueue(organizationId, true)
  await until('the second step has begun', async () => (await effects(id)).length === 2)
  await kill(first)
  const second = database.spawn('three-steps.ts')
  const control = await enqueue(organizationId, false)
  await until('the second executor works', async () => (await execution(database, control)).status === 'completed')
  // Killed is not known: until the lease has run out, nobody touches it.
  expect(await execution(database, id)).toMatchObject({ status: 'running', retry_count: 0 })
  await expireLease(database, id)
  await until('the execution is completed', async () => (await execution(database, id)).status === 'completed')

  expect(await execution(database, id)).toMatchObject({ output: 2, retry_count: 1, last_error: 'the lease ran out before the executor reported' })
  expect((await effects(id)).map(({ step, pid }) => [step, pid])).toEqual([
    ['first', first.pid],
    ['second', first.pid],
    ['second', second.pid],
    ['third', second.pid],
  ])
  expect((await steps(database, id)).map(({ node_id, step_index, attempt_number }) => [node_id, step_index, attempt_number])).toEqual([
    ['first', 0, 1],
    ['second', 1, 2],
    ['third', 2, 2],
  ])
})

test('SIGTERM lets running work finish, and the process ends by itself with no session left', async () => {
  const organizationId = await database.organization()
  const child = database.spawn('three-steps.ts')
  const ids = await Promise.all(Array.from({ length: 20 }, () => enqueue(organizationId, false)))
  await until('something is completed', async () => (await Promise.all(ids.map((id) => execution(database, id)))).some(({ status }) => status === 'completed'))
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  expect(await exit).toEqual([0, null])
  await untilNoSessions(database)
  for (const id of ids) expect(['completed', 'queued']).toContain((await execution(database, id)).status)
})

test('SIGTERM hands back what does not finish in time, at no attempt', async () => {
  const organizationId = await database.organization()
  const child = database.spawn('three-steps.ts', { STOP_TIMEOUT: '0' })
  const id = await enqueue(organizationId, true)
  await until('the second step has begun', async () => (await effects(id)).length === 2)
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  expect(await exit).toEqual([0, null])
  expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0 })
  expect((await steps(database, id)).map(({ node_id }) => node_id)).toEqual(['first'])
})
