import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { claim, enqueue, executor, one, organization, report, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

interface Obstacle extends Record<string, unknown> {
  obstacle: string
  detail: string
  hint: string
}
const obstacles = (organizationId: string, name: string) =>
  database.query<Obstacle>('select * from public.fw_obstacles($1, $2)', [organizationId, name])
const kinds = async (organizationId: string, name: string) => (await obstacles(organizationId, name)).map(({ obstacle }) => obstacle)
const kindsOf = async (executionId: string) =>
  (await database.query<Obstacle>('select * from public.fw_obstacles_of($1)', [executionId])).map(({ obstacle }) => obstacle)

/** Also said: what to do about it. */
async function enable(hint: string): Promise<void> {
  await database.query(hint.replace(' enables it.', ''))
}

describe('what keeps work from starting', () => {
  test('is nothing where the worker is enabled and an executor runs the workflow', async () => {
    const name = workflow()
    await executor(database, name)
    expect(await obstacles(await organization(database), name)).toEqual([])
  })

  test('is the worker of its organization while that is disabled, and the hint enables it', async () => {
    const name = workflow()
    await executor(database, name)
    const organizationId = await organization(database, { enabled: false })
    const [found] = await obstacles(organizationId, name)
    expect(found).toMatchObject({ obstacle: 'organization_disabled', detail: `the worker of organization ${organizationId} is disabled` })
    await enable(found?.hint ?? '')
    expect(await kinds(organizationId, name)).toEqual([])
  })

  test('is the worker of an organization that nobody has heard of, unless new ones are enabled', async () => {
    const name = workflow()
    await executor(database, name)
    expect(await kinds(randomUUID(), name)).toEqual(['organization_disabled'])
    await database.query('update public.fw_worker_config set enable_new_organizations = true')
    expect(await kinds(randomUUID(), name)).toEqual([])
    await database.query('update public.fw_worker_config set enable_new_organizations = false')
  })

  test('is that no live executor runs the workflow', async () => {
    const [name, organizationId] = [workflow(), await organization(database)]
    const x = await executor(database, workflow())
    expect(await obstacles(organizationId, name)).toMatchObject([{ obstacle: 'no_executor', detail: `no live executor runs workflow '${name}'` }])
    const y = await executor(database, name)
    expect(await kinds(organizationId, name)).toEqual([])
    await database.query("update public.fw_executors set last_seen_at = now() - interval '31 seconds' where id = $1", [y])
    expect(await kinds(organizationId, name)).toEqual(['no_executor'])
    await database.query('select public.fw_stop_executor($1)', [x])
  })

  test('is that all slots are taken, until one is free', async () => {
    const [name, organizationId] = [workflow(), await organization(database, { batchSize: 2, concurrency: 1 })]
    const x = await executor(database, name)
    await enqueue(database, name, organizationId, 3)
    const [first, second] = await claim(database, x)
    if (first === undefined || second === undefined) throw new Error('two were not claimed')
    expect(await obstacles(organizationId, name)).toMatchObject([
      { obstacle: 'slots_full', detail: `all places of organization ${organizationId} are taken: 2 executions are in flight, and 1 slots of 2 may be` },
    ])
    await report(database, x, [first])
    expect(await kinds(organizationId, name)).toEqual([])
    await report(database, x, [second])
  })

  test('is a pause of the worker as a whole, beside all else', async () => {
    const [name, organizationId] = [workflow(), await organization(database, { enabled: false })]
    await database.query("select public.fw_pause('an upgrade')")
    expect(await kinds(organizationId, name)).toEqual(['paused', 'organization_disabled', 'no_executor'])
    await database.query('select public.fw_resume()')
  })
})

test('of an execution the same is said until it runs', async () => {
  const [name, organizationId] = [workflow(), await organization(database)]
  const id = one(await enqueue(database, name, organizationId))
  expect(await kindsOf(id)).toEqual(['no_executor'])
  const x = await executor(database, name)
  const held = one(await claim(database, x))
  await database.query('select public.fw_save_worker_settings($1, false)', [organizationId])
  expect(await kinds(organizationId, name)).toEqual(['organization_disabled'])
  expect(await kindsOf(id)).toEqual([])
  await report(database, x, [held])
  expect(await kindsOf(id)).toEqual([])
  expect(await kindsOf(randomUUID())).toEqual([])
})
