import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { PermanentError } from '../../../src/errors.js'
import { workflow } from '../../../src/workflow.js'
import { executorDatabase } from '../../support/executor.js'
import { type Claimed, claimOne, enqueue, executor, one, organization, type Session, withSessions } from '../../support/sql.js'
import { emit, waitFor } from '../fw_emit_event/scene.js'

const database = executorDatabase()

const SECONDS = Number(process.env['FW_LOOK_SECONDS'] ?? 6)

const alarms = async (on: Session) => await on.query<{ name: string; detail: string }>('select name, detail from public.fw_invariants where violations <> 0')

test('a look that began before others have woken an execution sees no violation', async () => {
  const organizationId = await organization(database)
  const x = await executor(database, 'woken meanwhile')
  await enqueue(database, 'woken meanwhile', organizationId)
  await waitFor(database, x, await claimOne(database, x), ['k'])
  await withSessions(database, 1, async (looking) => {
    await looking.query('begin')
    await looking.query('select now()')
    await sleep(20)
    await emit(database, organizationId, 'k', 1)
    expect(await alarms(looking)).toEqual([])
    await looking.query('commit')
  })
})

test('an execution that was woken and whose workflow no live executor knows waits for one: no violation', async () => {
  const organizationId = await organization(database)
  const x = await executor(database, ['known once'])
  await enqueue(database, 'known once', organizationId)
  await waitFor(database, x, await claimOne(database, x), ['k'])
  await database.query('update public.fw_workflow_executions set created_at = created_at - interval \'1 hour\' where organization_id = $1', [organizationId])
  await database.query('update public.fw_executors set stopped_at = now() where id = $1', [x])
  const other = await executor(database, ['another'])
  await emit(database, organizationId, 'k', 1)
  expect(await database.query<Claimed & Record<string, unknown>>('select * from public.fw_claim_batches($1, 5)', [other])).toEqual([])
  const { status, seconds } = one(await database.query<{ status: string; seconds: number }>(
    'select e.status::text, extract(epoch from q.vt - now())::float as seconds from pgmq.q_workflow_execution_queue q join public.fw_workflow_executions e on e.msg_id = q.msg_id where e.organization_id = $1', [organizationId]))
  expect([status, seconds > 1]).toEqual(['waiting', true])
  await withSessions(database, 1, async (looking) => expect(await alarms(looking)).toEqual([]))
})

test('hundreds of looks beside executors that do everything: not one sees a violation', async () => {
  const any = z.any()
  const leaf = workflow({ name: 'leaf', input: z.number(), retry: { maxAttempts: 2, backoff: { initial: 5 } } }, async (ctx, n) => {
    await ctx.step('work', () => sleep(randomInt(10)))
    if (n % 7 === 0) throw new PermanentError('it cannot be')
    if (n % 5 === 0 && ctx.attempt === 1) throw new Error('once more')
    return n
  })
  const busy = workflow({ name: 'busy', input: any }, async (ctx) => {
    await ctx.step('first', () => sleep(randomInt(5)), { compensate: () => undefined })
    await Promise.all([ctx.waitForEvent('go', { timeout: '300ms' }).catch(() => undefined), ctx.sleep('20ms')])
    await ctx.map([1, 2, 3, 4, 5, 6, 7, 8], leaf, { concurrency: 3 }).catch(() => undefined)
    await ctx.waitForEvent('go', { timeout: '100ms' }).catch(() => undefined)
  })
  const organizations = [await database.organization(), await database.organization({ batchSize: 3, concurrency: 2 })]
  await database.start([busy, leaf], { concurrency: 40 })
  await database.start([busy, leaf], { concurrency: 10 })
  const until = Date.now() + SECONDS * 1000
  const found: unknown[] = []
  let looks = 0
  // Longer where they are slow.
  const goesOn = () => Date.now() < until || (looks < 200 && Date.now() < until + 40_000)
  const look = async (session: Session) => {
    while (goesOn()) {
      const rows = await alarms(session)
      if (rows.length > 0) found.push(...rows)
      looks++
    }
  }
  const drive = async () => {
    while (goesOn()) {
      const organizationId = organizations[randomInt(2)] as string
      const ids = await database.client.enqueueMany(busy, [{}, {}, {}], { organizationId })
      await sleep(randomInt(60))
      await database.client.emit(organizationId, 'go')
      if (randomInt(3) === 0) await database.client.cancel(ids[0] as string, 'by hand', { compensate: randomInt(2) === 0 })
      await database.query('select public.fw_worker_tick()')
    }
  }
  await withSessions(database, 3, async (a, b, c) => {
    await Promise.all([look(a), look(b), look(c), drive(), drive()])
  })
  expect(found).toEqual([])
  expect(looks).toBeGreaterThanOrEqual(200)
  if (process.env['FW_LOOK_SECONDS'] !== undefined) console.log(`${looks} looks`)
}, 60_000 + SECONDS * 1000)
