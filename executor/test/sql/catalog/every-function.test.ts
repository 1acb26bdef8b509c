import { expect, test } from 'vitest'
import { sqlDatabase } from '../../support/sql.js'

const database = sqlDatabase()

const functions = (where: string) =>
  database.query<{ name: string }>(
    `select p.oid::regprocedure::text as name from pg_catalog.pg_proc p
     where p.pronamespace = 'public'::regnamespace and p.proname like 'fw\\_%' and ${where} order by 1`,
  )

test('every function has a comment', async () => {
  expect(await functions('true')).not.toEqual([])
  expect(await functions("obj_description(p.oid, 'pg_proc') is null")).toEqual([])
})

test('no function may be called by everybody', async () => {
  expect(await functions("has_function_privilege('public', p.oid, 'execute')")).toEqual([])
})

test('every function pins its search_path, but for five that are inlined and a procedure that commits; those name everything in full', async () => {
  const free = await functions("not exists (select from unnest(p.proconfig) as setting where setting = 'search_path=pg_catalog, pg_temp')")
  expect(free.map((row) => row.name)).toEqual(['fw_if_small(jsonb)', 'fw_keep_retention(interval)', 'fw_milliseconds(bigint)', 'fw_now()', 'fw_to_uuid(text)', 'fw_uuid()'])
})

test('nothing works with the rights of its owner but the look whether the job is scheduled, for cron.job shows each role its own', async () => {
  expect(await functions('p.prosecdef')).toEqual([{ name: 'fw_is_paused()' }])
})

test('every function that switches plans off, which then seem to cost more than any, is not compiled for that on each call', async () => {
  const setting = (pattern: string) => `exists (select from unnest(p.proconfig) as setting where setting ~ '${pattern}')`
  const switching = setting('^(enable_|plan_cache_mode)')
  expect((await functions(switching)).length).toBeGreaterThan(20)
  expect(await functions(`${switching} and not ${setting('^jit=off$')}`)).toEqual([])
  // Called by each enqueue and emit, also under the switches of its callers.
  expect(await functions(`p.proname = 'fw_wake_executors' and not ${setting('^jit=off$')}`)).toEqual([])
})

test('every table and view has a comment', async () => {
  const tables = await database.query(
    `select c.relname from pg_catalog.pg_class c
     where c.relnamespace = 'public'::regnamespace and c.relname like 'fw\\_%' and c.relkind in ('r', 'v') and obj_description(c.oid, 'pg_class') is null`,
  )
  expect(tables).toEqual([])
})
