import { readFile, readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../../src/workflow.js'
import { executorDatabase, until } from '../../support/executor.js'
import { fakePgCron } from '../../support/fake-cron.js'
import { executor, one } from '../../support/sql.js'

const database = executorDatabase()
const echo = workflow({ name: 'echo', input: z.object({}) }, () => 'echoed')
const CRON = fileURLToPath(new URL('../../../../sql/cron/', import.meta.url))

/** The jobs as their files have them. */
const inFiles = async () => {
  const found: { name: string; command: string }[] = []
  for (const file of (await readdir(CRON)).sort()) {
    const text = await readFile(`${CRON}${file}`, 'utf8')
    const [, name = '', command = ''] = /values \(\s*'([^']+)',[^\n]*'((?:select|call) public\.\w+\(\))',/.exec(text) ?? []
    expect(`${name}.sql`).toBe(file)
    found.push({ name, command })
  }
  return found
}

afterEach(async () => {
  await database.query("delete from public.fw_jobs where name = 'evil'")
  for (const { name, command } of await inFiles()) await database.query('update public.fw_jobs set command = $2 where name = $1', [name, command])
})

/** Who writes the table would have this run as the owner. */
const EVIL = 'create table public.evil ()'
const plant = async () => {
  await database.query('update public.fw_jobs set command = $1', [EVIL])
  await database.query("insert into public.fw_jobs (name, schedule, period, command, purpose) values ('evil', '* * * * *', '1 minute', $1, 'evil')", [EVIL])
  await database.query("update public.fw_jobs set last_started_at = now() - interval '1 day' - interval '1 second', last_driver = null, last_duration = null")
}
const isHarmed = async () => one(await database.query<{ harmed: boolean }>("select to_regclass('public.evil') is not null as harmed")).harmed

describe('a job', () => {
  test('is what its file in sql/cron says: the commands there are those that are handed out', async () => {
    const files = await inFiles()
    expect(files).toHaveLength(5)
    for (const { name, command } of files) {
      expect(one(await database.query<{ command: string }>('select public.fw_job_command($1) as command', [name])).command).toBe(command)
    }
  })

  test('runs by its name', async () => {
    for (const { name } of await inFiles()) {
      await database.query('update public.fw_jobs set last_driver = null, last_duration = null where name = $1', [name])
      await database.query('select public.fw_run_job($1)', [name])
      expect(await database.query('select last_driver from public.fw_jobs where name = $1', [name])).toEqual([{ last_driver: 'session' }])
    }
  })

  test.each([['evil'], [EVIL], [null]])('that is none (%s) is refused, with where the jobs are', async (name) => {
    await plant()
    await expect(database.query('select public.fw_run_job($1)', [name])).rejects.toMatchObject({ code: '42704', hint: expect.stringContaining('fw_jobs') as unknown })
  })
})

describe('a statement that somebody has written into fw_jobs', () => {
  test('is run by no executor, which runs the jobs themselves', async () => {
    await plant()
    await database.start(echo)
    await until('all have run', async () => (await database.query("select from public.fw_jobs where last_driver is null and name <> 'evil'")).length === 0)
    expect(await isHarmed()).toBe(false)
    expect(await database.query("select last_started_at = now() as started, last_driver from public.fw_jobs where name = 'evil'")).toEqual([{ started: false, last_driver: null }])
  })

  test('is handed to no executor of an older version, which runs what it is handed', async () => {
    await plant()
    const x = await executor(database, 'echo')
    const taken = await database.query<{ name: string; command: string }>('select * from public.fw_take_due_jobs($1)', [x])
    expect(taken.sort((one, other) => (one.name < other.name ? -1 : 1))).toEqual(await inFiles())
  })

  test('is given to no pg_cron', async () => {
    await plant()
    await fakePgCron(database)
    await database.query('select * from public.fw_install_cron_jobs()')
    expect(await database.query('select jobname as name, command from cron.job order by jobname')).toEqual(await inFiles())
  })
})
