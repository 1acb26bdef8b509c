import { type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KILL_POINTS, type KillPoint } from '../../src/kill-points.js'
import { expectInvariantsZero } from '../support/database.js'
import { executorDatabase, kill, shortLeases, until } from '../support/executor.js'
import { one } from '../support/sql.js'

const database = executorDatabase()

const LEASE_SECONDS = 3
/** Scenes that look at all executors of the database, need what only one executor gets, or have none that knows their workflows go alone. */
const ALONE: readonly KillPoint[] = ['fw_register_executor', 'fw_take_batch', 'fw_take_due_jobs', 'job', 'fw_stop_executor']

beforeAll(async () => {
  await database.query('create table effects (execution_id uuid, what text)')
  await database.query('create table firsts (execution_id uuid, what text, primary key (execution_id, what))')
})

afterAll(() => expectInvariantsZero(database.pool))

let scenes = 0

/** Until it runs, or is dead already. */
async function untilReady(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      if (chunk.toString().includes('ready')) resolve()
    })
    child.once('exit', () => {
      resolve()
    })
  })
}

/** Runs everything once with an executor that dies at this point, and a second one that finishes. */
async function survive(point: KillPoint, when: 'before' | 'after'): Promise<void> {
  const suffix = `-${++scenes}`
  const organizationId = await database.organization()
  await shortLeases(database, organizationId, LEASE_SECONDS)
  const enqueue = async (sql: pg.PoolClient, name: string) =>
    one((await sql.query<{ id: string }>("select public.fw_enqueue($1, '{}', $2) as id", [`${name}${suffix}`, organizationId])).rows).id
  const start = (killAt: string) => database.spawn('everything.ts', { SUFFIX: suffix, KILL_AT: killAt })

  if (ALONE.includes(point)) await database.query('update public.fw_jobs set last_started_at = null')
  const doomed = start(`${point}:${when}`)
  const died = once(doomed, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  await untilReady(doomed)
  if (point === 'fw_take_batch') {
    await until('it waits', async () => (await database.query('select 1 from public.fw_executors where wants_work and stopped_at is null')).length > 0)
  }
  const session = await database.pool.connect()
  await session.query('begin')
  const id = await enqueue(session, 'everything')
  const undoneId = await enqueue(session, 'undone')
  // It is offered before anybody can see it, for the executor looks for work itself every moment.
  if (point === 'fw_take_batch') await session.query('select public.fw_offer_batches()')
  await session.query('commit')
  // With a snapshot that may be older than the wait: executors are asked to look again.
  await session.query('begin isolation level repeatable read')
  await database.client.emit(organizationId, `go${suffix}`, { by: 'Ada' }, { transaction: session })
  await session.query('commit')
  session.release()
  if (point === 'fw_stop_executor') doomed.kill('SIGTERM')
  expect((await died)[1], `${point} was never reached`).toBe('SIGKILL')

  const second = start('')
  await until('both have ended', async () => {
    const rows = await database.query("select 1 from public.fw_workflow_executions where id = any ($1) and status in ('completed', 'failed')", [[id, undoneId]])
    return rows.length === 2
  }, 60)
  const result = one(await database.query<{ status: string; output: unknown; last_error: string }>(
    'select status, output, last_error from public.fw_workflow_executions where id = $1', [id]))
  expect(result).toMatchObject({
    status: 'completed',
    output: { isSame: true, a: 'a', b: 'b', event: { by: 'Ada' }, doubled: 42, many: [2, 4, 6] },
  })
  expect(one(await database.query('select status, last_error from public.fw_workflow_executions where id = $1', [undoneId]))).toEqual({
    status: 'failed', last_error: 'it cannot be; compensated: two, one',
  })
  const counts = await database.query<{ what: string; count: number }>(
    `select f.what, count(*)::int as count from effects f
     where f.execution_id = any ($1) or f.execution_id in (select e.id from public.fw_workflow_executions e where e.parent_id = any ($1))
     group by f.what order by f.what`, [[id, undoneId]])
  expect(counts.map(({ what }) => what)).toEqual(
    ['a', 'b', 'do one', 'do two', 'double 1', 'double 2', 'double 21', 'double 3', 'exactly once', 'undo one', 'undo two'])
  // Once where that is guaranteed; elsewhere the process that died may have done it before.
  for (const { what, count } of counts) expect(count, what).toBeLessThanOrEqual(what === 'exactly once' ? 1 : 2)
  await kill(second)
}

describe('an executor that is killed at any point of its writes, and another that goes on: the result is the same', () => {
  const cases = KILL_POINTS.flatMap((point) => (['before', 'after'] as const).map((when) => ({ point, when })))
  const alone = cases.filter(({ point }) => ALONE.includes(point))
  const others = cases.filter(({ point }) => !ALONE.includes(point))

  test.each(alone.map((each) => [`${each.when} ${each.point}`, each] as const))('%s', (_, { point, when }) => survive(point, when), 100_000)

  describe('side by side', () => {
    const groups = Array.from({ length: Math.ceil(others.length / 4) }, (_, at) => others.slice(at * 4, at * 4 + 4))
    test.each(groups.map((group) => [group.map(({ point, when }) => `${when} ${point}`).join(', '), group] as const))(
      '%s',
      async (_, group) => {
        await Promise.all(group.map(({ point, when }) => survive(point, when)))
      },
      100_000,
    )
  })
})

test('every call of the SQL API that writes has its point', async () => {
  const source = await readFile(new URL('../../src/protocol.ts', import.meta.url), 'utf8')
  const functions = source.split(/^export async function /m).slice(1)
  const withoutPoint = functions.filter((text) => text.includes('.query') && !text.includes('write('))
  // They only read, or say something to administrators.
  expect(withoutPoint.map((text) => text.slice(0, text.indexOf('(')))).toEqual(['readRecorded', 'resultsLimit', 'checkLimit', 'noteClaims', 'endedExecutions', 'offeredBatches', 'stepFate'])
  for (const point of KILL_POINTS.filter((each) => each.startsWith('fw_'))) expect(source).toContain(`write('${point}'`)
  const points = [...source.matchAll(/write\('(\w+)'/g)].map(([, point]) => point)
  expect(points.filter((point) => !(KILL_POINTS as readonly string[]).includes(point ?? ''))).toEqual([])
})
