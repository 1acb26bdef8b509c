import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { rowsRead, watchedSession } from '../../support/plans.js'
import { claim, deadLetter, enqueue, executor, one, organization, report, reportFailures, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()
const FEW = 400

interface Filters {
  organization?: string | null
  workflow?: string | null
  statuses?: string[] | null
  before?: string | null
  most?: number
}

const CALL = 'select id from public.fw_list_executions($1, $2, $3, $4, $5)'
const values = ({ organization = null, workflow = null, statuses = null, before = null, most = 50 }: Filters) => [organization, workflow, statuses, before, most]
const listed = async (filters: Filters): Promise<string[]> => (await database.query<{ id: string }>(CALL, values(filters))).map(({ id }) => id)

/** The same, said as plainly as can be. */
const expected = async (filters: Filters): Promise<string[]> =>
  (
    await database.query<{ id: string }>(
      `select id from public.fw_workflow_executions
       where ($1::uuid is null or organization_id = $1) and ($2::text is null or workflow_name = $2)
         and ($3::text[] is null or status::text = any ($3)) and ($4::uuid is null or id < $4)
       order by id desc limit $5`,
      values(filters),
    )
  ).map(({ id }) => id)

/** This many completed executions, as many of other workflows between them. */
const many = (organizationId: string, name: string, count: number) =>
  database.query(
    `insert into public.fw_workflow_executions (id, workflow_name, organization_id, status, input, msg_id, completed_at)
     select public.fw_uuid(), $2, $1, 'completed', to_jsonb(repeat('x', 100)), 0, now() from generate_series(1, $3)`,
    [organizationId, name, count],
  )

const names: string[] = []
const organizations: string[] = []

// Work in every state, a few of each, under many that have completed; and organizations and workflows beside them.
beforeAll(async () => {
  for (let index = 0; index < 3; index++) {
    const name = workflow()
    const organizationId = await organization(database, { batchSize: 50, concurrency: 10 })
    names.push(name)
    organizations.push(organizationId)
    const x = await executor(database, [name])
    await enqueue(database, name, organizationId, 12)
    const [a, b, c, d, e] = await claim(database, x, 5)
    if (!a || !b || !c || !d || !e) throw new Error('five were claimed')
    await report(database, x, [a, b])
    await deadLetter(database, x, c)
    await reportFailures(database, x, [{ ...d, delayMs: 3_600_000 }])
    for (const place of [0, 1]) {
      const queued = one(await database.query<{ id: string }>("select id from public.fw_workflow_executions where organization_id = $1 and status = 'queued' order by id offset $2 limit 1", [organizationId, place]))
      await database.query('select public.fw_cancel_execution($1)', [queued.id])
    }
    await many(organizationId, `${name}-other`, 200)
  }
  // More than are looked at first where no index has all that is asked for.
  await many(organizations[0] ?? '', 'flood', 6000)
  await enqueue(database, names[1] ?? '', organizations[1] ?? '', 3)
}, 60_000)

const STATUSES = ['queued', 'running', 'waiting', 'retry_pending', 'completed', 'failed', 'timed_out', 'cancelled']

describe('the list has exactly what matches, the newest first', () => {
  test.each([
    ['no filter', [null]],
    ...STATUSES.map((status): [string, (string[] | null)[]] => [status, [[status]]]),
    ['several states', [['failed', 'running'], ['completed', 'cancelled'], ['queued', 'completed', 'failed'], ['retry_pending', 'timed_out'], STATUSES, []]],
  ])('%s', async (_, statusLists) => {
    for (const statuses of statusLists) {
      for (const organizationId of [null, ...organizations, randomUUID()]) {
        for (const name of [null, names[0] ?? '', names[1] ?? '', 'flood', 'no such workflow']) {
          for (const most of [1, 4, 50]) {
            const filters = { organization: organizationId, workflow: name, statuses, most }
            const first = await listed(filters)
            expect(first, JSON.stringify(filters)).toEqual(await expected(filters))
            const before = first.at(-1)
            if (before !== undefined) expect(await listed({ ...filters, before }), JSON.stringify({ ...filters, before })).toEqual(await expected({ ...filters, before }))
          }
        }
      }
    }
  })

  test('live ones too where there are too many messages to look through', async () => {
    const organizationId = await organization(database, { enabled: false })
    const name = workflow()
    await enqueue(database, name, organizationId, 10_050)
    for (const filters of [{ organization: organizationId, statuses: ['queued'] }, { statuses: ['queued'], workflow: name }, { organization: organizationId, statuses: ['running'] }]) {
      expect(await listed(filters)).toEqual(await expected(filters))
    }
    await database.query('delete from pgmq.q_workflow_execution_queue q using public.fw_workflow_executions e where e.msg_id = q.msg_id and e.organization_id = $1', [organizationId])
    await database.query('delete from public.fw_workflow_executions where organization_id = $1', [organizationId])
  })
})

test('a status that there is not is an error that names those there are', async () => {
  await expect(listed({ statuses: ['failed', 'done'] })).rejects.toMatchObject({
    code: '22023', message: "there is no status 'done'", hint: expect.stringContaining('completed, failed') as unknown,
  })
})

describe('the list reads little of 6,000 and more', () => {
  test.each<[string, () => Filters]>([
    ['of an organization', () => ({ organization: organizations[0] ?? '' })],
    ['of a workflow of an organization', () => ({ organization: organizations[0] ?? '', workflow: names[0] ?? '' })],
    ['of those that failed', () => ({ organization: organizations[0] ?? '', statuses: ['failed', 'cancelled', 'timed_out'] })],
    ['of those that failed, of a workflow', () => ({ organization: organizations[0] ?? '', workflow: names[0] ?? '', statuses: ['failed'] })],
    ['of those that run', () => ({ organization: organizations[0] ?? '', statuses: ['running', 'retry_pending'] })],
    ['of those that completed, of a workflow', () => ({ organization: organizations[0] ?? '', workflow: names[0] ?? '', statuses: ['completed'] })],
  ])('%s', async (_, filters) => {
    for (const isAnalyzed of [false, true]) {
      if (isAnalyzed) await database.query('analyze')
      const watched = await watchedSession(database)
      const plans = await watched.plansOf(() => watched.on.query(CALL, values({ ...filters(), most: FEW / 40 }))).finally(watched.end)
      expect(plans.filter((plan) => /Seq Scan on (fw_workflow_executions|q_workflow_execution_queue)/.test(plan))).toEqual([])
      expect(rowsRead(plans, 'fw_workflow_executions')).toBeGreaterThan(0)
      expect(rowsRead(plans, 'fw_workflow_executions')).toBeLessThan(FEW)
    }
  })
})

test('no index of executions has what a claim, a checkpoint or a report of one that completes changes', async () => {
  const touched = await database.query(
    `select i.indexrelid::regclass::text as index, a.attname as column from pg_catalog.pg_index i
     join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and (a.attnum = any (i.indkey::smallint[])
       or pg_get_expr(i.indpred, i.indrelid) ~ ('\\y' || a.attname || '\\y'))
     where i.indrelid = 'public.fw_workflow_executions'::regclass and a.attname in ('status', 'started_at', 'completed_at', 'batch_id', 'output',
       'progress', 'progress_text', 'current_step', 'current_step_since', 'next_retry_at', 'retry_count', 'deadline_at', 'msg_id')`,
  )
  expect(touched).toEqual([])
  const { count } = one(await database.query<{ count: number }>("select count(*)::integer as count from pg_catalog.pg_index i where i.indrelid = 'public.fw_workflow_executions'::regclass and i.indisvalid"))
  expect(count).toBe(6)
})
