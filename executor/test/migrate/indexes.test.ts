import { afterEach, expect, test } from 'vitest'
import { migrate } from '../../src/migrate/index.js'
import { createDatabase, type TestDatabase } from '../support/database.js'
import { packageFolder } from '../support/package-folder.js'
import { one, untilBlocked, withSessions } from '../support/sql.js'

const made: TestDatabase[] = []
afterEach(async () => {
  await Promise.all(made.splice(0).map((database) => database.drop()))
})

const TABLE = 'create table public.many (n int); insert into public.many select generate_series(1, 1000);'
const INDEX = { 'sql/indexes/many_idx.sql': 'create index concurrently if not exists many_idx on public.many (n);' }

async function emptyDatabase(): Promise<TestDatabase> {
  const database = await createDatabase({ template: 'template1' })
  made.push(database)
  return database
}

const validity = async (database: TestDatabase) =>
  (await database.query<{ valid: boolean }>("select indisvalid as valid from pg_catalog.pg_index where indexrelid = to_regclass('public.many_idx')")).map(({ valid }) => valid)

test('a migrate makes the indexes that are missing, once', async () => {
  const database = await emptyDatabase()
  const lines: string[] = []
  const packageRoot = await packageFolder([TABLE], INDEX)
  for (let round = 0; round < 2; round++) await migrate({ connectionString: database.url, packageRoot, log: (line) => lines.push(line) })
  expect(await validity(database)).toEqual([true])
  expect(lines.filter((line) => line.includes('many_idx'))).toEqual(['index many_idx made'])
})

test('a migrate makes one anew that an earlier one left half made', async () => {
  const database = await emptyDatabase()
  await migrate({ connectionString: database.url, packageRoot: await packageFolder([TABLE]) })
  await database.query('insert into public.many values (1)')
  await expect(database.query('create unique index concurrently many_idx on public.many (n)')).rejects.toMatchObject({ code: '23505' })
  expect(await validity(database)).toEqual([false])
  await migrate({ connectionString: database.url, packageRoot: await packageFolder([TABLE], INDEX) })
  expect(await validity(database)).toEqual([true])
})

test('who writes is not held up while an index is made, not even behind a transaction that stays open', async () => {
  const database = await emptyDatabase()
  await migrate({ connectionString: database.url, packageRoot: await packageFolder([TABLE]) })
  const packageRoot = await packageFolder([TABLE], INDEX)
  await withSessions(database, 2, async (open, writer) => {
    await open.query('begin')
    await open.query('insert into public.many values (0)')
    const migrating = migrate({ connectionString: database.url, packageRoot })
    for (;;) {
      const found = await database.query<{ pid: number }>("select pid from pg_stat_activity where application_name = 'fw migrate' and query like 'create index%' and datname = current_database()")
      if (found[0] !== undefined) {
        await untilBlocked(database, { pid: found[0].pid, query: (text) => database.query(text) })
        break
      }
    }
    await writer.query("set lock_timeout = '1s'")
    await writer.query('insert into public.many values (-1)')
    await open.query('commit')
    await migrating
  })
  expect(await validity(database)).toEqual([true])
  expect(one(await database.query('select count(*)::integer as count from public.many'))).toEqual({ count: 1002 })
})
