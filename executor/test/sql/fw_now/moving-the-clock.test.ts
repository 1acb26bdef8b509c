import { afterEach, expect, test } from 'vitest'
import { claim, claimOne, enqueue, execution, executor, expireLeases, organization, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

/** As if the database's clock were so much later than it is. */
async function moveClock(by: string): Promise<void> {
  await database.query(`create or replace function public.fw_now() returns timestamptz language sql stable parallel safe as 'select pg_catalog.now() + interval ''${by}'''`)
}

afterEach(() => moveClock('0'))

async function scene() {
  const name = workflow()
  const organizationId = await organization(database)
  return { name, organizationId, x: await executor(database, name) }
}

test('a delay, a lease and a deadline pass when the clock is moved, and all of them by it', async () => {
  const { name, organizationId, x } = await scene()
  const [id = ''] = await database
    .query<{ id: string }>("select public.fw_enqueue($1, '{}', $2, p_delay => '30 days') as id", [name, organizationId])
    .then((rows) => rows.map((row) => row.id))
  expect(await claim(database, x)).toEqual([])
  await moveClock('31 days')
  await database.query('update public.fw_executors set last_seen_at = public.fw_now() where id = $1', [x])
  const held = await claimOne(database, x)
  expect(held.execution_id).toBe(id)
  await moveClock('31 days 10 minutes')
  await database.query('select public.fw_reap_expired_batches()')
  expect(await execution(database, id)).toMatchObject({ status: 'retry_pending', last_error: 'the lease ran out before the executor reported' })
  await moveClock('32 days')
  await database.query('select public.fw_check_deadlines()')
  expect(await execution(database, id)).toMatchObject({ status: 'timed_out' })
})

test('without a moved clock it is the time of the transaction, also for the planner', async () => {
  const { name, organizationId, x } = await scene()
  await enqueue(database, name, organizationId)
  await expireLeases(database, [await claimOne(database, x)])
  const rows = await database.query<{ same: boolean }>('select public.fw_now() = now() as same')
  expect(rows).toEqual([{ same: true }])
  const plan = await database.query<Record<string, string>>("explain (verbose) select 1 from public.fw_executors where last_seen_at > public.fw_now()")
  expect(JSON.stringify(plan)).not.toContain('fw_now')
})
