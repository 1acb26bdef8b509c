import { randomBytes } from 'node:crypto'
import { appendFile, copyFile, cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { migrate } from '../../src/migrate/index.js'
import { createDatabase, type TestDatabase } from '../support/database.js'
import { enqueue, one, organization, workflow } from '../support/sql.js'
import { temporaryFolder } from '../support/temporary-folder.js'

const PACKAGE = fileURLToPath(new URL('../../../', import.meta.url))
const FIRST_VERSION = fileURLToPath(new URL('../fixtures/first-version/', import.meta.url))
const FIRST_MIGRATION = '000001-worker-tables-and-queues.sql'

let database: TestDatabase
let anon: string
let app: string

beforeEach(async () => {
  database = await createDatabase({ template: 'template1' })
  const suffix = randomBytes(6).toString('hex')
  anon = `anon_${suffix}`
  app = `app_${suffix}`
  await database.query(`create role ${anon}; create role ${app}`)
})

afterEach(async () => {
  await database.query(`drop owned by ${anon}, ${app}`)
  await database.query(`drop role ${anon}, ${app}`)
  await database.drop()
})

/** What a hosted Postgres does for its web role. */
async function openByDefault(): Promise<void> {
  for (const objects of ['tables', 'routines', 'sequences', 'types']) {
    await database.query(`alter default privileges grant all on ${objects} to ${anon}, public`)
    await database.query(`alter default privileges in schema public grant all on ${objects} to ${anon}`)
  }
  await database.query(`alter default privileges grant all on schemas to ${anon}, public`)
  await database.query(`grant usage on schema public to ${anon}`)
}

const migrated = (log: string[] = []) => migrate({ connectionString: database.url, withCurrent: true, log: (line) => log.push(line) })

/** Every relation and its kind, as the catalogue has them: nothing else is in this database. */
const relations = () =>
  database.query<{ name: string; relkind: string; is_closed_by_rows: boolean }>(
    `select c.oid::regclass::text as name, c.relkind, c.relrowsecurity as is_closed_by_rows
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and (n.nspname in ('public', 'graphile_migrate') or n.nspname = 'pgmq' and c.relname ~ '^[qa]_')
     order by 1`,
  )

const functions = () =>
  database.query<{ name: string; call: string }>(
    `select p.oid::regprocedure::text as name, format('%s %I.%I(%s)', case p.prokind when 'p' then 'call' else 'select' end, n.nspname, p.proname,
       (select string_agg('null::' || t::regtype, ', ' order by at) from unnest(p.proargtypes) with ordinality a (t, at))) as call
     from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname in ('public', 'graphile_migrate') and p.prorettype <> 'trigger'::regtype order by 1`,
  )

/** What this role may do to anything of ours, a line for each privilege. */
const open = async (role: string) =>
  (
    await database.query<{ line: string }>(
      `with ours as (
         select c.oid, c.relkind, c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname in ('public', 'graphile_migrate') or n.nspname = 'pgmq' and c.relname ~ '^[qa]_'
       )
       select format('%s on table %s', p, o.name) as line from ours o, unnest('{select,insert,update,delete,truncate,references,trigger}'::text[]) p
       where o.relkind in ('r', 'p', 'v', 'm', 'f') and has_table_privilege($1, o.oid, p)
       union all
       select format('%s on a column of %s', p, o.name) from ours o, unnest('{select,insert,update,references}'::text[]) p
       where o.relkind in ('r', 'p', 'v', 'm', 'f') and has_any_column_privilege($1, o.oid, p)
       union all
       select format('%s on sequence %s', p, o.name) from ours o, unnest('{usage,select,update}'::text[]) p
       where o.relkind = 'S' and has_sequence_privilege($1, o.oid, p)
       union all
       select 'execute on ' || p.oid::regprocedure from pg_proc p
       where p.pronamespace = 'public'::regnamespace and has_function_privilege($1, p.oid, 'execute')
       union all
       select 'usage on type ' || t.oid::regtype from pg_type t join pg_namespace n on n.oid = t.typnamespace
       where (n.nspname in ('public', 'graphile_migrate') or n.nspname = 'pgmq' and t.typname ~ '^[qa]_') and t.typelem = 0
         and has_type_privilege($1, t.oid, 'usage')
       union all
       select format('%s on schema %s', p, n.nspname) from pg_namespace n, unnest('{usage,create}'::text[]) p
       where n.nspname in ('graphile_migrate', 'pgmq') and has_schema_privilege($1, n.oid, p)
       order by 1`,
      [role],
    )
  ).map(({ line }) => line)

/** Runs statements as this role; returns those that were not refused for want of a privilege. */
async function tried(role: string, statements: readonly string[]): Promise<string[]> {
  const client = await database.pool.connect()
  const passed: string[] = []
  try {
    await client.query(`set role ${role}`)
    for (const statement of statements) {
      const refused = await client.query(statement).then(() => 'nothing', (error: unknown) => (error as { code?: string }).code)
      if (refused !== '42501') passed.push(`${statement}: ${refused ?? ''}`)
    }
    return passed
  } finally {
    await client.query('reset role')
    client.release()
  }
}

describe('a host whose default privileges give everything to a web role', () => {
  test('has nothing open after a migrate: no table, view, column, sequence, function, type or schema', async () => {
    await openByDefault()
    await migrated()
    expect((await relations()).map(({ name }) => name)).toEqual(
      expect.arrayContaining(['fw_workflow_executions', 'fw_jobs', 'fw_dlq', 'fw_notices_id_seq', 'pgmq.q_workflow_execution_queue', 'graphile_migrate.migrations']),
    )
    expect((await functions()).length).toBeGreaterThan(90)
    expect(await open(anon)).toEqual([])
    expect(await open('public')).toEqual([])
    await migrated()
    expect(await open(anon)).toEqual([])
  })

  test('lets the web role read, write and call nothing when it tries', async () => {
    await openByDefault()
    await migrated()
    const found = await relations()
    const tables = found.filter(({ relkind }) => relkind === 'r').map(({ name }) => name)
    const views = found.filter(({ relkind }) => relkind === 'v').map(({ name }) => name)
    const sequences = found.filter(({ relkind }) => relkind === 'S').map(({ name }) => name)
    const statements = [
      ...tables.flatMap((name) => [`select * from ${name}`, `insert into ${name} default values`, `delete from ${name}`, `truncate ${name}`]),
      ...views.map((name) => `select * from ${name}`),
      ...sequences.map((name) => `select nextval('${name}')`),
      ...(await functions()).map(({ call }) => call),
      "update public.fw_jobs set command = 'create role evil superuser'",
      "select pgmq.send('workflow_execution_queue', '{}')",
    ]
    expect(statements.length).toBeGreaterThan(200)
    expect(await tried(anon, statements)).toEqual([])
  })

  test('has nothing open either when a role that is no superuser owns the database and migrates it', async () => {
    const owner = `owner_${randomBytes(6).toString('hex')}`
    await database.query(`create role ${owner} login password 'secret'`)
    const url = new URL(database.url)
    url.username = owner
    url.password = 'secret'
    try {
      await database.query(`create extension pgmq; alter database ${url.pathname.slice(1)} owner to ${owner}; grant all on schema public to ${owner}`)
      await database.query(`grant usage, create on schema pgmq to ${owner}; grant select, insert on pgmq.meta to ${owner}`)
      for (const objects of ['tables', 'routines', 'sequences', 'types', 'schemas']) {
        await database.query(`alter default privileges for role ${owner} grant all on ${objects} to ${anon}, public`)
      }
      await migrate({ connectionString: url.href, withCurrent: true })
      await database.query(`grant execute on function public.fw_status() to ${app}`)
      await migrate({ connectionString: url.href, withCurrent: true })
      expect(await open(app)).toEqual(['execute on fw_status()'])
      expect(await open(anon)).toEqual([])
      expect((await relations()).filter(({ relkind, is_closed_by_rows }) => relkind === 'r' && !is_closed_by_rows)).toEqual([])
    } finally {
      await database.query(`reassign owned by ${owner} to postgres; drop owned by ${owner}; drop role ${owner}`)
    }
  })

  test('has nothing open after an upgrade from the first version either, and the log has statements that give back what was taken away', async () => {
    await openByDefault()
    const old = await temporaryFolder()
    await mkdir(join(old, 'migrations', 'committed'), { recursive: true })
    await copyFile(join(PACKAGE, 'migrations', 'committed', FIRST_MIGRATION), join(old, 'migrations', 'committed', FIRST_MIGRATION))
    await cp(join(FIRST_VERSION, 'sql'), join(old, 'sql'), { recursive: true })
    await migrate({ connectionString: database.url, packageRoot: old })
    await database.query(`grant select (input) on public.fw_workflow_executions to ${app}`)
    await database.query(`grant execute on function public.fw_dlq_purge(interval) to ${app} with grant option`)
    expect(await open(anon)).not.toEqual([])
    const said: string[] = []
    await migrated(said)
    expect(await open(anon)).toEqual([])
    expect(await open(app)).toEqual([])
    const back = said.filter((line) => line.includes(` to ${app}`))
    for (const statement of back) await database.query(statement)
    expect(await open(app)).toEqual(['execute on fw_dlq_purge(interval)', 'select on a column of fw_workflow_executions'])
    expect(said.some((line) => line.startsWith('others than the owner had privileges'))).toBe(true)
  })

  test('gives the web role nothing of what a restored dump has made, though the dump says that it was closed once', async () => {
    await migrated()
    await openByDefault()
    // As pg_restore does: the tables are new, their rows are those of the dump.
    await database.query(
      `alter table public.fw_worker_config rename to gone;
       create table public.fw_worker_config (like public.gone including all);
       insert into public.fw_worker_config select * from public.gone;
       drop table public.gone cascade`,
    )
    expect(await open(anon)).not.toEqual([])
    const said: string[] = []
    await migrated(said)
    expect(await open(anon)).toEqual([])
    expect(said.join('\n')).toContain(`public.fw_worker_config to ${anon}`)
  })
})

describe('a table', () => {
  test('of the worker, its queues and its migrations has row-level security, so that a role with every grant sees and writes no row', async () => {
    await migrated()
    const tables = (await relations()).filter(({ relkind }) => relkind === 'r' || relkind === 'p')
    expect(tables.length).toBeGreaterThan(20)
    expect(tables.filter(({ is_closed_by_rows }) => !is_closed_by_rows)).toEqual([])
    expect(await database.query('select polname from pg_policy')).toEqual([])
    const organizationId = await organization(database)
    await enqueue(database, workflow(), organizationId)
    await database.query(`grant usage on schema pgmq to ${app}; grant all on all tables in schema public, pgmq to ${app}`)
    const client = await database.pool.connect()
    try {
      await client.query(`set role ${app}`)
      for (const name of ['fw_workflow_executions', 'fw_module_settings', 'pgmq.q_workflow_execution_queue', 'fw_worker_config']) {
        expect((await client.query(`select * from ${name}`)).rows).toEqual([])
      }
      await expect(client.query("insert into fw_workflows (name, max_attempts, backoff_initial_ms, backoff_factor, backoff_max_ms) values ('x', 1, 1, 1, 1)")).rejects.toMatchObject({ code: '42501' })
      expect((await client.query("update fw_jobs set command = 'select 1'")).rowCount).toBe(0)
    } finally {
      await client.query('reset role')
      client.release()
    }
    await database.query(`revoke all on all tables in schema public, pgmq from ${app}; revoke usage on schema pgmq from ${app}`)
  })

  test('is never shown through a view with the rights of the owner', async () => {
    await migrated()
    const views = await database.query<{ name: string }>(
      `select oid::regclass::text as name from pg_class
       where relnamespace = 'public'::regnamespace and relkind = 'v' and not coalesce(reloptions @> '{security_invoker=true}', false)`,
    )
    expect(views).toEqual([])
  })
})

describe('what was granted by hand to a role by name', () => {
  test('stays through later migrates, also on a function that the upgrade makes anew; what was granted to everybody does not', async () => {
    await openByDefault()
    await migrated()
    const grants = [
      `grant execute on function public.fw_status() to ${app} with grant option`,
      `grant execute on function public.fw_health() to ${app}, public`,
      `grant select on public.fw_notices to ${app}, public`,
      `grant update (pause_reason) on public.fw_worker_config to ${app}`,
      `grant usage on type public.fw_execution_status to ${app}`,
    ]
    for (const grant of grants) await database.query(grant)
    const before = await database.query('select kind, object, column_name, grantee, privilege, is_grantable from public.fw_grants where grantee_oid <> 0 order by 1, 2, 3, 4, 5')
    expect(before.map((row) => row['grantee'])).toEqual([app, app, app, app, app])

    // The upgrade drops it, and stops there: what it makes anew is open to the web role by default privileges until it goes on.
    const broken = await temporaryFolder()
    await mkdir(join(broken, 'migrations'), { recursive: true })
    await cp(join(PACKAGE, 'migrations', 'committed'), join(broken, 'migrations', 'committed'), { recursive: true })
    await cp(join(PACKAGE, 'migrations', 'current.sql'), join(broken, 'migrations', 'current.sql'))
    await cp(join(PACKAGE, 'sql'), join(broken, 'sql'), { recursive: true })
    await appendFile(join(broken, 'migrations', 'current.sql'), '\ndrop function public.fw_health(); drop table if exists public.fw_new; create table public.fw_new (n int);\n')
    await writeFile(join(broken, 'sql', 'functions', 'broken.sql'), 'select 1/0')
    await expect(migrate({ connectionString: database.url, packageRoot: broken, withCurrent: true })).rejects.toMatchObject({ code: 'SQL_FILE_FAILED' })
    expect(await open(anon)).toEqual(expect.arrayContaining(['select on table fw_new']))

    await migrated()
    expect(await database.query('select kind, object, column_name, grantee, privilege, is_grantable from public.fw_grants order by 1, 2, 3, 4, 5')).toEqual(before)
    expect(await open(anon)).toEqual([])
    expect(await open('public')).toEqual([])
    await migrated()
    expect(await database.query('select kind, object, column_name, grantee, privilege, is_grantable from public.fw_grants order by 1, 2, 3, 4, 5')).toEqual(before)
    expect(one(await database.query('select count(*)::integer as count from public.fw_kept_grants'))).toEqual({ count: 0 })
  })
})
