import { randomUUID } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import { claim, enqueue, executor, one, organization, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

const enableNew = (value: boolean) => database.query('update public.fw_worker_config set enable_new_organizations = $1', [value])
const isEnabled = async (organizationId: string) =>
  one(await database.query<{ enabled: boolean }>('select fw_execution_worker_enabled as enabled from public.fw_module_settings where organization_id = $1', [organizationId])).enabled

afterEach(() => enableNew(false))

test('the worker of a new organization is disabled unless told otherwise', async () => {
  const organizationId = randomUUID()
  await enqueue(database, workflow(), organizationId)
  expect(await isEnabled(organizationId)).toBe(false)
})

test('with enable_new_organizations the first enqueue enables it, and its work starts', async () => {
  await enableNew(true)
  const [name, organizationId] = [workflow(), randomUUID()]
  const x = await executor(database, name)
  const id = one(await enqueue(database, name, organizationId))
  expect(await isEnabled(organizationId)).toBe(true)
  expect(await claim(database, x)).toMatchObject([{ execution_id: id }])
})

test('an organization that was disabled by hand stays so', async () => {
  await enableNew(true)
  const organizationId = await organization(database, { enabled: false })
  await enqueue(database, workflow(), organizationId)
  expect(await isEnabled(organizationId)).toBe(false)
})
