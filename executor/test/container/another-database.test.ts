import { afterAll, beforeAll, expect, test } from 'vitest'
import type pg from 'pg'
import { z } from 'zod'
import { Client } from '../../src/client.js'
import { Executor } from '../../src/executor.js'
import { migrate } from '../../src/migrate/index.js'
import { workflow } from '../../src/workflow.js'
import { containerDatabase, databaseUrl, describeContainer, everySecond, newPool, untilIdle } from '../support/container.js'
import { expectInvariantsZero } from '../support/database.js'
import { until } from '../support/executor.js'
import { enqueue, one, organization, type Queryable } from '../support/sql.js'

describeContainer('pg_cron in another database of the cluster', () => {
  const home = containerDatabase()
  let url = ''
  let pool: pg.Pool | undefined
  const app: Queryable = {
    query: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => {
      if (pool === undefined) throw new Error('the database is there only inside tests and hooks')
      return (await pool.query<Row>(text, values)).rows
    },
  }
  const statements = async (uninstall: boolean): Promise<string[]> =>
    (await app.query<{ statement: string }>('select public.fw_cron_statements($1) as statement', [uninstall])).map(({ statement }) => statement)
  const jobsFor = (name: string) => home.query<{ jobname: string; schedule: string }>('select jobname, schedule from cron.job where database = $1 order by jobname', [name])

  beforeAll(async () => {
    await home.query('create database "an app\'s"')
    url = databaseUrl(home.container, encodeURIComponent("an app's"))
    pool = newPool(url)
    expect(await migrate({ connectionString: url, withCurrent: true })).toMatchObject({ cronJobs: 0 })
  })
  afterAll(async () => {
    if (pool === undefined) return
    try {
      await expectInvariantsZero(pool)
    } finally {
      await pool.end()
    }
  })

  test('there, fw_install_cron_jobs installs nothing and tells what to do', async () => {
    await expect(app.query('select public.fw_install_cron_jobs()')).rejects.toMatchObject({ hint: expect.stringContaining('fw_cron_statements()') as string })
    expect(await jobsFor("an app's")).toEqual([])
  })

  test('the statements of fw_cron_statements, run beside pg_cron, schedule the jobs for this database, and they run', async () => {
    const own = await jobsFor('fw')
    for (const statement of await statements(false)) await home.query(statement)
    const specified = await app.query("select name || ' @ an app''s' as jobname, schedule from public.fw_jobs order by name")
    expect(await jobsFor("an app's")).toEqual(specified)
    expect(specified).toHaveLength(5)
    expect(await jobsFor('fw')).toEqual(own)

    const echo = workflow({ name: 'echo', input: z.object({}) }, () => 'echoed')
    const organizationId = await organization(app)
    const executor = new Executor({ connectionString: url, workflows: [echo], pollInterval: '1d' })
    await executor.start()
    try {
      await untilIdle(app)
      await app.query('update public.fw_executors set wants_work = false')
      const id = one(await enqueue(app, 'echo', organizationId))
      await app.query('update public.fw_executors set wants_work = true where stopped_at is null')
      await everySecond(home, "process-workflow-queue @ an app's")
      expect(await new Client({ pool: pool as pg.Pool }).result(id)).toBe('echoed')
    } finally {
      await executor.stop({ timeout: 0 })
    }
    const driver = async (job: string) => (await app.query<{ last_driver: string | null }>('select last_driver from public.fw_jobs where name = $1', [job]))[0]?.last_driver
    for (const { name } of await app.query<{ name: string }>('select name from public.fw_jobs order by name')) {
      await everySecond(home, `${name} @ an app's`)
      await until(`pg_cron runs ${name}`, async () => (await driver(name)) === 'pg_cron')
    }
    expect(await app.query("select is_ok, detail from public.fw_health() where subject = 'driver'")).toEqual([
      { is_ok: true, detail: 'a pg_cron in another database runs the jobs' },
    ])
  })

  test('fw_cron_statements(true) removes them', async () => {
    for (const statement of await statements(false)) await home.query(statement)
    const own = await jobsFor('fw')
    for (const statement of await statements(true)) await home.query(statement)
    expect(await jobsFor("an app's")).toEqual([])
    expect(await jobsFor('fw')).toEqual(own)
    expect(own).toHaveLength(5)
  })
})
