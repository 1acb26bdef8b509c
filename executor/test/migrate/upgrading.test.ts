import { copyFile, cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { pino } from 'pino'
import { afterEach, describe, expect, it } from 'vitest'
import { troubleOf } from '../../src/database-errors.js'
import { Executor, workflow } from '../../src/index.js'
import { migrate } from '../../src/migrate/index.js'
import { catalog, differences } from '../fixtures/first-version/catalog.js'
import { FirstVersionExecutor, isData, type RunContext } from '../fixtures/first-version/executor.js'
import { Input, leaveWork, Producer, untouched } from '../fixtures/first-version/work.js'
import { createDatabase, expectInvariantsZero, type TestDatabase } from '../support/database.js'
import { executorDatabase, gate, until, untilFinished } from '../support/executor.js'
import { expireLeases, makeVisible, one } from '../support/sql.js'
import { temporaryFolder } from '../support/temporary-folder.js'

const PACKAGE = fileURLToPath(new URL('../../../', import.meta.url))
const FIRST_VERSION = fileURLToPath(new URL('../fixtures/first-version/', import.meta.url))
const FIRST_MIGRATION = '000001-worker-tables-and-queues.sql'

async function databaseOfTheFirstVersion(): Promise<TestDatabase> {
  const packageRoot = await temporaryFolder()
  const committed = join('migrations', 'committed')
  await mkdir(join(packageRoot, committed), { recursive: true })
  await copyFile(join(PACKAGE, committed, FIRST_MIGRATION), join(packageRoot, committed, FIRST_MIGRATION))
  await cp(join(FIRST_VERSION, 'sql'), join(packageRoot, 'sql'), { recursive: true })
  const database = await createDatabase({ template: 'template1', poolSize: 20 })
  expect(await migrate({ connectionString: database.url, packageRoot })).toMatchObject({ applied: [FIRST_MIGRATION] })
  return database
}

const EFFECTS = 'create table effects (execution_id uuid not null, step text not null)'
const effect = (on: pg.Pool | pg.ClientBase, executionId: string, step: string) =>
  on.query('insert into effects (execution_id, step) values ($1, $2)', [executionId, step])

/** The workflow of the fixture, for an executor of this version. */
const orderNow = (on: { readonly pool: pg.Pool }, name: string) =>
  workflow({ name, input: Input }, async (ctx, { n }) => {
    await ctx.step('read', async () => (await effect(on.pool, ctx.executionId, 'read')).rowCount)
    const double = await ctx.transaction('write', async (sql) => {
      const { rowCount } = await sql.query("insert into effects (execution_id, step) values ($1, 'write')", [ctx.executionId])
      return rowCount === 1 ? 2 * n : 0
    })
    return { n, double }
  })

/** What an executor met: a line for each kind of error, with how often. */
const lines = (errors: ReadonlyMap<string, number>) => [...errors].map(([error, count]) => `${count} × ${error}`).sort()

describe('an upgrade from the first version', () => {
  const made: TestDatabase[] = []
  const executors: { abandon: () => Promise<void> }[] = []
  afterEach(async () => {
    for (const executor of executors.splice(0)) await executor.abandon()
    await Promise.all(made.splice(0).map((database) => database.drop()))
  })

  it('loses nothing while executors and clients of that version work, and they go on; executors of this one finish everything', async ({ annotate }) => {
    const database = await databaseOfTheFirstVersion()
    made.push(database)
    await database.query(EFFECTS)
    const work = await leaveWork(database)
    const { organizations } = work

    const held = gate()
    const order = async ({ claim, step, transaction }: RunContext) => {
      const { n } = Input.parse(claim.input)
      await step('read', async () => (await effect(database.pool, claim.executionId, 'read')).rowCount)
      if (claim.workflowName === 'held') await held.opened
      const double = await transaction('write', async (sql) => (await effect(sql, claim.executionId, 'write')).rowCount === 1 ? 2 * n : 0)
      return { n, double }
    }
    const old = new FirstVersionExecutor({ connectionString: database.url, workflows: { order, held: order } })
    executors.push(old)
    await old.start()
    const producer = new Producer(database.pool, organizations.busy)
    executors.push({ abandon: () => producer.stop() })
    const runningHeld = async () =>
      one(await database.query<{ count: number }>("select count(*)::integer from public.fw_workflow_executions where workflow_name = 'held' and status::text = 'running'")).count
    await until('the first version works, and holds what it cannot finish', async () => old.counts.completed >= 200 && (await runningHeld()) === 5)
    await expireLeases(database, work.lost)
    const before = await untouched(database, work)
    const states = await database.query<{ status: string }>('select distinct status::text from public.fw_workflow_executions order by 1')
    expect(states.map(({ status }) => status)).toEqual(['completed', 'failed', 'queued', 'retry_pending', 'running'])
    await expectInvariantsZero(database.pool)

    const atMigrate = { completed: old.counts.completed, enqueued: producer.enqueued, at: performance.now() }
    const said: string[] = []
    await migrate({ connectionString: database.url, withCurrent: true, log: (line) => said.push(line) })
    const migrateMs = performance.now() - atMigrate.at
    const during = { completed: old.counts.completed - atMigrate.completed, enqueued: producer.enqueued - atMigrate.enqueued }
    await expectInvariantsZero(database.pool)
    expect(await untouched(database, work), 'all as it was, but for columns that are new').toMatchObject(before)
    const after = old.counts.completed
    await until('the first version goes on', () => old.counts.completed >= after + 300)

    expect(await old.take(work.offeredBatch)).toBe(4)
    await expireLeases(database, [{ execution_id: '', batch_id: work.forgottenBatch }])
    held.open()
    await until('what was held is finished', async () => (await runningHeld()) === 0)
    const [redriven = '', kept = ''] = work.deadLetters
    const keptLetter = () => database.query('select * from pgmq.q_workflow_dlq where msg_id = $1', [kept])
    const letter = await keptLetter()
    await database.query('select public.fw_dlq_retry($1)', [redriven])
    await makeVisible(database, work.delayed.slice(0, 4))

    const executor = new Executor({ connectionString: database.url, workflows: [orderNow(database, 'order'), orderNow(database, 'held')], logger: pino({ level: 'silent' }) })
    executors.push({ abandon: () => executor.stop({ timeout: 0 }) })
    await executor.start()
    await until('this version works beside it', () => executor.stats.completed >= 100)
    await producer.stop()
    await old.stop()
    await makeVisible(database, work.delayed.slice(4))
    await database.query('select public.fw_save_worker_settings($1, true)', [organizations.disabled])
    await untilFinished(database, 'order', 120)
    await untilFinished(database, 'held')
    await executor.stop()

    for (const line of said) await annotate(line)
    for (const line of [...lines(old.errors), ...lines(producer.errors)]) await annotate(line)
    await annotate(`migrate: ${Math.round(migrateMs)} ms, meanwhile ${during.completed} completed and ${during.enqueued} enqueued; ` +
      `first version: ${JSON.stringify(old.counts)}, this version: ${JSON.stringify(executor.stats)}`)

    // Nothing is lost: all that was enqueued is there and has the right output, but for the one dead letter that was kept.
    const total = 1005 + 3 + 2 + 3 + 5 + 4 + 4 + 4 + 20 + producer.enqueued
    const ended = one(
      await database.query<Record<string, number>>(
        `select count(*)::integer as total, (count(*) filter (where status::text = 'completed'))::integer as completed,
           (count(*) filter (where output = jsonb_build_object('n', input -> 'n', 'double', 2 * (input ->> 'n')::integer)))::integer as right_output,
           (count(*) filter (where dlq_msg_id = $1))::integer as dead
         from public.fw_workflow_executions`,
        [kept],
      ),
    )
    expect(ended).toEqual({ total, completed: total - 1, right_output: total - 1, dead: 1 })
    expect(await keptLetter()).toEqual(letter)
    expect(await database.query('select msg_id from pgmq.q_workflow_execution_queue')).toEqual([])
    // Each was completed once, and no lease was lost but that of the executor that had vanished.
    const runs = one(
      await database.query<Record<string, number>>(
        'select sum(succeeded)::integer as succeeded, sum(lost)::integer as lost, sum(dead_lettered)::integer as dead_lettered from public.fw_worker_runs',
      ),
    )
    expect(runs).toEqual({ succeeded: total - 1, lost: 5, dead_lettered: 2 })
    expect(producer.enqueued).toBeGreaterThan(atMigrate.enqueued)

    // The three that the vanished executor completed have no effects, nor has the dead letter; each other has written once.
    const effects = one(
      await database.query<{ written: number; twice: number; reread: number; read: number }>(
        `select (count(*) filter (where step = 'write'))::integer as written, (count(*) filter (where step = 'read'))::integer as read,
           (count(*) filter (where step = 'write') - count(distinct execution_id) filter (where step = 'write'))::integer as twice,
           (count(*) filter (where execution_id = any ($1::uuid[]) and step = 'read'))::integer as reread from effects`,
        [work.haveRead],
      ),
    )
    expect(effects).toEqual({ written: total - 4, twice: 0, reread: 0, read: total - 4 - 2 })
    await expectInvariantsZero(database.pool)

    // None that the first version would have blamed on the data of its call, and given up.
    expect([...old.errors.keys()].filter((line) => isData(/: (\S{5}) /.exec(line)?.[1] ?? ''))).toEqual([])
  }, 240_000)

  it('leaves the same schema as a new database has', async () => {
    const upgraded = await databaseOfTheFirstVersion()
    made.push(upgraded)
    const fresh = await createDatabase()
    made.push(fresh)
    const expected = await catalog(fresh)
    expect(differences(await catalog(upgraded), expected).missing).toContain('type fw_execution_status')
    await migrate({ connectionString: upgraded.url, withCurrent: true })
    expect(differences(await catalog(upgraded), expected)).toEqual({ missing: [], leftover: [], different: [] })

    const seeds = async (on: TestDatabase) => [
      await on.query('select name, schedule, period, at, command, purpose from public.fw_jobs order by name'),
      // Each database has tables of its own.
      (await on.query('select *, closed_as = public.fw_closed_as() as is_closed from public.fw_worker_config')).map((row) => ({ ...row, closed_as: undefined })),
      await on.query('select queue_name, is_partitioned, is_unlogged from pgmq.meta order by 1'),
      await on.query('select filename, hash from graphile_migrate.migrations order by 1'),
    ]
    expect(await seeds(upgraded)).toEqual(await seeds(fresh))
  })
})

describe('an executor of this version', () => {
  const database = executorDatabase()

  it('works on while functions are replaced under it, and while some are missing for a moment', async ({ annotate }) => {
    await database.query(EFFECTS)
    const met = new Map<string, number>()
    const unforeseen: unknown[] = []
    const write = (line: string) => {
      const { level, msg, err } = JSON.parse(line) as { level: number; msg: string; err?: { code?: string; message: string } }
      const trouble = `${msg} | ${err?.code ?? ''} ${(err?.message ?? '').replace(/\d{2,}/g, 'N')}`
      met.set(trouble, (met.get(trouble) ?? 0) + 1)
      if (level >= 50 || (err !== undefined && troubleOf(err) !== 'retry')) unforeseen.push(trouble)
    }
    const executor = await database.start(orderNow(database, 'order'), { logger: pino({ level: 'warn' }, { write }) })
    const producer = new Producer(database.pool, await database.organization())
    const worksOn = async () => {
      const { completed } = executor.stats
      await until('it works on', () => executor.stats.completed >= completed + 100)
    }
    try {
      await worksOn()
      for (let time = 0; time < 5; time++) {
        await migrate({ connectionString: database.url })
        await worksOn()
      }
      await annotate(`functions replaced 5 times: ${lines(met).join('; ') || 'no errors'}; ${JSON.stringify(executor.stats)}`)

      await database.query(`drop function public.fw_claim_batches, public.fw_report, public.fw_report_failures, public.fw_checkpoint,
        public.fw_extend_leases, public.fw_enqueue_many`)
      await until('it has met that', () => met.size > 0 && producer.errors.size > 0)
      await migrate({ connectionString: database.url })
      await worksOn()
    } finally {
      await producer.stop()
    }
    await untilFinished(database, 'order')
    await annotate(`functions missing for a moment: ${lines(met).join('; ')}; ${JSON.stringify(executor.stats)}`)

    expect(unforeseen).toEqual([])
    expect(await database.query("select count(*)::integer from public.fw_workflow_executions where status = 'completed'")).toEqual([{ count: producer.enqueued }])
    expect(await database.query("select count(*)::integer, count(distinct execution_id)::integer as executions from effects where step = 'write'")).toEqual([
      { count: producer.enqueued, executions: producer.enqueued },
    ])
  }, 120_000)
})
