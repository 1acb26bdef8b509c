import { randomBytes, randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Client, Executor, workflow } from '../../src/index.js'
import { migrate } from '../../src/migrate/index.js'
import { createDatabase, expectInvariantsZero, type TestDatabase } from '../support/database.js'
import { fakePgCron } from '../support/fake-cron.js'
import { one } from '../support/sql.js'

let database: TestDatabase
let role = ''
let url = ''

/** A new database, and a role that may log in and nothing else. */
beforeEach(async () => {
  database = await createDatabase({ template: 'template1' })
  role = `fw_test_${randomBytes(6).toString('hex')}`
  await database.query(`create role ${role} login password 'secret'`)
  const mine = new URL(database.url)
  mine.username = role
  mine.password = 'secret'
  url = mine.href
})

afterEach(async () => {
  await database.query(`drop owned by ${role} cascade`)
  await database.drop()
  const server = new pg.Client({ connectionString: new URL('/postgres', database.url).href })
  await server.connect()
  await server.query(`drop role ${role}`)
  await server.end()
})

const attempt = () => migrate({ connectionString: url, withCurrent: true })

/** The statements that an error tells to run. */
const told = (error: unknown): string[] => (error instanceof Error ? error.message.split('\n').filter((line) => line.startsWith('  ')) : [])

/** Migrates, running as superuser what each error says and nothing else; returns the codes of the errors. */
async function followTheErrors(): Promise<string[]> {
  const codes: string[] = []
  for (let turn = 0; turn < 5; turn += 1) {
    try {
      await attempt()
      return codes
    } catch (error) {
      codes.push(z.object({ code: z.string() }).parse(error).code)
      expect(told(error)).not.toEqual([])
      for (const statement of told(error)) await database.query(statement)
    }
  }
  throw new Error(`five errors were followed: ${codes.join(', ')}`)
}

const greet = workflow({ name: 'greet', input: z.object({ name: z.string() }) }, async (ctx, { name }) => {
  const word = await ctx.step('choose', () => 'Hello')
  await ctx.sleep(20)
  return ctx.transaction('say', async (sql) => (await sql.query<{ said: string }>('select $1 as said', [`${word} ${name}`])).rows[0]?.said)
})

/** Runs an execution from its start to its end as the plain role, with a failed one put back, and the jobs. */
async function runsAll(): Promise<void> {
  const pool = new pg.Pool({ connectionString: url, max: 2 })
  pool.on('error', () => undefined)
  const organizationId = randomUUID()
  await pool.query('select public.fw_save_worker_settings($1, true)', [organizationId])
  const client = new Client({ connectionString: url })
  const executor = new Executor({ connectionString: url, workflows: [greet] })
  await executor.start()
  try {
    expect(await client.result(await client.enqueue(greet, { name: 'Ada' }, { organizationId }), { timeout: '30s' })).toBe('Hello Ada')
    for (const job of ['fw_worker_tick()', 'fw_check_deadlines()', 'fw_check_dlq_threshold()', 'fw_auto_discard_dlq()', 'fw_apply_retention()', 'fw_repair(false)']) {
      await pool.query(`select * from public.${job}`)
    }
    const { rows } = await pool.query<{ id: string }>("select public.fw_enqueue('unknown', '{}', $1) as id", [organizationId])
    const { id } = one(rows)
    await pool.query("select public.fw_fail_execution($1, 'by hand')", [id])
    await pool.query('select public.fw_dlq_retry(msg_id) from public.fw_dlq')
    await pool.query("select public.fw_cancel_execution($1, 'enough')", [id])
  } finally {
    await executor.stop()
    await client.close()
    await expectInvariantsZero(pool)
    await pool.end()
  }
}

describe('a plain role, on a server prepared with only what the error messages told,', () => {
  test('migrates and runs everything where pgmq has to be created by a superuser: one error told it all', async () => {
    expect(await followTheErrors()).toEqual(['PGMQ_MISSING'])
    await runsAll()
    expect(await attempt()).toMatchObject({ applied: [] })
  })

  test('migrates and runs everything where a superuser had created pgmq: one error told all that was missing, and nothing was begun', async () => {
    await database.query('create extension pgmq')
    await database.query('revoke execute on all functions in schema pgmq from public')
    const error: unknown = await attempt().catch((thrown: unknown) => thrown)
    const name = one(await database.query<{ name: string }>('select current_database() as name')).name
    expect(error).toMatchObject({
      code: 'PRIVILEGES_MISSING',
      statements: [
        `grant create on database ${name} to ${role};`,
        `grant usage, create on schema public to ${role};`,
        `grant usage, create on schema pgmq to ${role};`,
        `grant select, insert on pgmq.meta to ${role};`,
        `grant execute on all functions in schema pgmq to ${role};`,
      ],
    })
    expect(await database.query("select from pg_namespace where nspname = 'graphile_migrate'")).toEqual([])
    expect(await followTheErrors()).toEqual(['PRIVILEGES_MISSING'])
    await runsAll()
  })

  test('which owns its database creates pgmq itself and needs nothing from anybody', async () => {
    const { name } = one(await database.query<{ name: string }>('select current_database() as name'))
    await database.query(`alter database ${name} owner to ${role}`)
    expect(await followTheErrors()).toEqual([])
    await runsAll()
  })

  test('is told whose objects there are, where another role has migrated before', async () => {
    await migrate({ connectionString: database.url, withCurrent: true })
    const error: unknown = await attempt().catch((thrown: unknown) => thrown)
    expect(told(error)).toContain(`  grant postgres to ${role};`)
  })
})

describe('a pg_cron that the role may not use', () => {
  test('keeps nobody from migrating, nor retention from its work; fw_health says what to grant, and that is enough', async () => {
    await fakePgCron(database)
    expect(await followTheErrors()).toEqual(['PGMQ_MISSING'])
    await runsAll()
    const mine = new pg.Client({ connectionString: url })
    await mine.connect()
    try {
      const driver = async (): Promise<unknown> => one((await mine.query<Record<string, unknown>>("select is_ok, detail, hint from public.fw_health() where subject = 'driver'")).rows)
      expect(await driver()).toEqual({
        is_ok: true,
        detail: `role ${role}, which owns the worker, may not use the pg_cron that is here: one of the executors runs the jobs`,
        hint: `Let a superuser, or whoever your provider names, run: grant usage on schema cron to ${role}; then select fw_install_cron_jobs() gives them to pg_cron.`,
      })
      await expect(mine.query('select public.fw_install_cron_jobs()')).rejects.toMatchObject({ code: '42501', hint: expect.stringContaining(`grant usage on schema cron to ${role}`) as unknown })
      expect(await mine.query('select * from public.fw_uninstall_cron_jobs()')).toMatchObject({ rows: [] })
      expect((await mine.query('select public.fw_is_paused() as paused')).rows).toEqual([{ paused: false }])
      await database.query(`grant usage on schema cron to ${role}`)
      expect((await mine.query('select name from public.fw_install_cron_jobs()')).rows).toHaveLength(5)
      expect(await driver()).toEqual({ is_ok: true, detail: 'pg_cron 1.6 runs the jobs', hint: null })
    } finally {
      await mine.end()
    }
  })
})

describe('jobs that a superuser installs while a plain role owns the worker', () => {
  const paused = async () => one(await database.query<{ paused: boolean }>('select public.fw_is_paused() as paused')).paused

  beforeEach(async () => {
    await fakePgCron(database)
    await database.query(`grant usage on schema cron to ${role}`)
  })

  test('run as the owner, who sees them: the worker is not paused, until the job is unscheduled', async () => {
    await followTheErrors()
    await database.query('select cron.unschedule(jobid) from cron.job')
    expect(await paused()).toBe(true)
    await database.query('select public.fw_install_cron_jobs()')
    expect(await database.query('select distinct username from cron.job')).toEqual([{ username: role }])
    expect(await paused()).toBe(false)
    await database.query("select cron.unschedule(jobid) from cron.job where jobname = 'process-workflow-queue'")
    expect(await paused()).toBe(true)
    expect((await database.query('select * from public.fw_health()')).find((row) => row['subject'] === 'pause')).toMatchObject({ hint: 'select fw_install_cron_jobs() schedules it again.' })
    await database.query('select public.fw_install_cron_jobs()')
    expect(await paused()).toBe(false)
  })

  test('and that an older version has scheduled as the superuser pause nothing while they run, and become the owner\'s with the next install', async () => {
    await followTheErrors()
    await database.query('select cron.unschedule(jobid) from cron.job')
    await database.query('select cron.schedule(name, schedule, command) from public.fw_jobs')
    await database.query("update public.fw_jobs set installed_at = now(), installed_by = null, last_driver = 'pg_cron', last_started_at = now()")
    expect(await paused()).toBe(false)
    expect(await attempt()).toMatchObject({ cronJobs: 0 })
    expect(await paused()).toBe(false)
    expect(await database.query('select from public.fw_install_cron_jobs(p_only_new => true)')).toHaveLength(5)
    expect(await database.query('select username, count(*)::integer from cron.job group by 1')).toEqual([{ username: role, count: 5 }])
    expect(await paused()).toBe(false)
  })

  test('as themselves, where the owner may not log in, pause nothing: fw_health says as whom they run', async () => {
    await followTheErrors()
    await database.query('select cron.unschedule(jobid) from cron.job')
    await database.query(`alter role ${role} nologin`)
    await database.query('select public.fw_install_cron_jobs()')
    expect(await database.query('select distinct username from cron.job')).toEqual([{ username: 'postgres' }])
    expect(await paused()).toBe(false)
    expect((await database.query('select * from public.fw_health()')).find((row) => row['subject'] === 'driver')).toMatchObject({ detail: 'pg_cron 1.6 runs the jobs as role postgres' })
    expect(await database.query('select * from public.fw_uninstall_cron_jobs()')).toHaveLength(5)
    expect(await database.query('select from cron.job')).toEqual([])
    await database.query(`alter role ${role} login`)
  })
})
