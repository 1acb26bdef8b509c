import { afterEach, describe, expect, it } from 'vitest'
import { migrate } from '../../src/migrate/index.js'
import { createDatabase, testDatabase, type TestDatabase } from '../support/database.js'
import { packageFolder } from '../support/package-folder.js'

const made: TestDatabase[] = []

async function emptyDatabase(): Promise<TestDatabase> {
  const database = await createDatabase({ template: 'template1' })
  made.push(database)
  return database
}

afterEach(async () => {
  await Promise.all(made.splice(0).map((database) => database.drop()))
})

const ONE = 'create table public.one (n int);'
const TWO = 'create table public.two (n int);'

describe('the package on a migrated database', () => {
  const database = testDatabase()

  it('changes no migration, and applies every function again, however often', async () => {
    const first = await migrate({ connectionString: database.url })
    expect(first.functions).toBeGreaterThan(0)
    expect((await migrate({ connectionString: database.url })).applied).toEqual([])
    expect(await migrate({ connectionString: database.url })).toEqual({ ...first, applied: [] })
  })

  it('leaves no session behind', async () => {
    await migrate({ connectionString: database.url })
    await expect
      .poll(() => database.query('select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()'))
      .toEqual([])
  })
})

describe('the package on an empty database', () => {
  it('creates pgmq and everything else', async () => {
    const database = await emptyDatabase()
    const lines: string[] = []
    const result = await migrate({ connectionString: database.url, withCurrent: true, log: (line) => lines.push(line) })
    expect(result.functions).toBeGreaterThan(0)
    expect(lines.at(-1)).toContain(`functions: ${result.functions}`)
    const found = await database.query("select extname from pg_extension where extname = 'pgmq'")
    expect(found).toHaveLength(1)
  })
})

describe('a migrate', () => {
  it('applies what is missing, in order, and tells which', async () => {
    const database = await emptyDatabase()
    const old = await packageFolder([ONE])
    const renewed = await packageFolder([ONE, TWO])
    expect((await migrate({ connectionString: database.url, packageRoot: old })).applied).toEqual(['000001.sql'])
    expect((await migrate({ connectionString: database.url, packageRoot: renewed })).applied).toEqual(['000002.sql'])
    expect((await migrate({ connectionString: database.url, packageRoot: renewed })).applied).toEqual([])
    expect(await database.query('select * from one, two')).toEqual([])
  })

  it('waits while another one is at work, and then finds it done', async () => {
    const database = await emptyDatabase()
    const packageRoot = await packageFolder(['select pg_sleep(1); create table public.one (n int);'], {
      'sql/functions/f.sql': "create or replace function public.f() returns int language sql as 'select 1';",
    })
    const lines: string[] = []
    const options = { connectionString: database.url, packageRoot, log: (line: string) => lines.push(line) }
    const results = await Promise.all([migrate(options), migrate(options), migrate(options)])
    expect(results.map(({ applied }) => applied.length).sort()).toEqual([0, 0, 1])
    expect(lines).toContain('another migrate is at work on this database: waiting for it')
  })

  it('takes functions that name functions of later files, in schema public whatever the role\'s search_path is', async () => {
    const database = await emptyDatabase()
    await database.query('create schema elsewhere')
    const packageRoot = await packageFolder([ONE], {
      'sql/functions/a/first.sql': "create or replace function first() returns int language sql as 'select public.second()';",
      'sql/functions/b/second.sql': "create or replace function second() returns int language sql as 'select 2';",
    })
    const url = new URL(database.url)
    url.searchParams.set('options', '-c search_path=elsewhere')
    expect(await migrate({ connectionString: url.href, packageRoot })).toMatchObject({ functions: 2 })
    expect(await database.query('select public.first() as answer')).toEqual([{ answer: 2 }])
  })

  it('applies none of the functions when one fails, and names its file and line', async () => {
    const database = await emptyDatabase()
    const packageRoot = await packageFolder([ONE], {
      'sql/functions/a.sql': "create or replace function public.a() returns int language sql as 'select 1';",
      'sql/functions/b.sql': '-- a comment\n\ncreate nonsense;',
    })
    await expect(migrate({ connectionString: database.url, packageRoot })).rejects.toMatchObject({
      code: 'SQL_FILE_FAILED',
      file: 'sql/functions/b.sql',
      message: expect.stringMatching(/^sql\/functions\/b\.sql:3: syntax error/) as unknown,
    })
    await expect(database.query('select public.a()')).rejects.toThrow(/does not exist/)
  })

  it('leaves the jobs to the executors where there is no pg_cron', async () => {
    const database = await emptyDatabase()
    expect(await migrate({ connectionString: database.url, withCurrent: true })).toMatchObject({ cronJobs: 0 })
    expect(await database.query('select name from public.fw_jobs where installed_at is null order by name')).toEqual(
      ['fw-dlq-auto-discard', 'fw-dlq-threshold-check', 'fw-retention', 'process-workflow-queue', 'workflow-timeout-watchdog'].map((name) => ({ name })),
    )
  })

  it('uses a pgmq that is there without its extension', async () => {
    const database = await emptyDatabase()
    await database.query('create schema pgmq')
    await database.query("create function pgmq.create(queue_name text) returns void language sql as ''")
    await migrate({ connectionString: database.url, packageRoot: await packageFolder([ONE]) })
    expect(await database.query("select 1 from pg_extension where extname = 'pgmq'")).toEqual([])
  })
})
