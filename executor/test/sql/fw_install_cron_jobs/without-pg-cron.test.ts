import { expect, test } from 'vitest'
import { one, sqlDatabase } from '../../support/sql.js'

const database = sqlDatabase()

test('in a database without pg_cron nothing is installed, and what to do instead is named', async () => {
  const { name } = one(await database.query<{ name: string }>('select current_database() as name'))
  for (const call of ['fw_install_cron_jobs()', 'fw_install_cron_jobs(p_only_new => true)']) {
    await expect(database.query(`select * from public.${call}`)).rejects.toMatchObject({
      code: '0A000',
      message: `database '${name}' has no pg_cron of version 1.5 or later`,
      hint: expect.stringContaining('select fw_cron_statements()') as unknown,
    })
  }
  expect(await database.query('select from public.fw_jobs where installed_at is not null')).toEqual([])
  expect(one(await database.query('select public.fw_pg_cron_version() as version, public.fw_pg_cron_is_in_charge() as in_charge'))).toEqual({
    version: null,
    in_charge: false,
  })
})

test('uninstalling there removes nothing and is no error', async () => {
  expect(await database.query('select * from public.fw_uninstall_cron_jobs()')).toEqual([])
})

test('jobs that were installed in a pg_cron that is gone do not pause the worker', async () => {
  await database.query('update public.fw_jobs set installed_at = now()')
  expect(one(await database.query('select public.fw_is_paused() as paused, public.fw_pg_cron_is_in_charge() as in_charge'))).toEqual({ paused: false, in_charge: false })
  await database.query('select public.fw_uninstall_cron_jobs()')
  expect(await database.query('select from public.fw_jobs where installed_at is not null')).toEqual([])
})
