import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { claim, execution, executor, one, organization, report, reportFailures, sendRaw, sqlDatabase, workflow } from '../../support/sql.js'
import { allVisible, everyState, EXPECTED, type Live, messageOf, suspend } from './scene.js'

const database = sqlDatabase()

afterEach(async () => {
  await expectInvariantsZero(database.pool)
  // What one test leaves alive is not seen by the next.
  await database.query("select public.fw_cancel_execution(id) from public.fw_workflow_executions where parent_id is null and status in ('queued', 'running', 'waiting', 'retry_pending')")
  await database.query('delete from pgmq.q_workflow_dlq')
  await database.query('delete from public.fw_notices')
})

const tick = () => database.query('select * from public.fw_worker_tick()')

interface Repaired {
  what: string
  execution_id: string
  organization_id: string
  detail: string
}

const repair = (dryRun?: boolean) => database.query<Repaired>(`select * from public.fw_repair(${dryRun === undefined ? '' : String(dryRun)})`)

const health = async () => one(await database.query("select is_ok, detail, hint from public.fw_health() where subject = 'messages'"))

const numbers = async (live: Live): Promise<string[]> => Promise.all(Object.values(live.ids).map((id) => messageOf(database, id)))

const QUEUE = 'workflow_execution_queue'

type Way = [what: string, take: (live: Live) => Promise<unknown>]

const takenAway: Way[] = [
  ['pgmq.delete', async (live) => database.query(`select pgmq.delete('${QUEUE}', $1::bigint[])`, [await numbers(live)])],
  ['pgmq.archive', async (live) => database.query(`select pgmq.archive('${QUEUE}', $1::bigint[])`, [await numbers(live)])],
  ['pgmq.purge_queue', () => database.query(`select pgmq.purge_queue('${QUEUE}')`)],
  [
    'pgmq.pop, after all was made visible',
    async (live) => {
      await database.query(`select pgmq.set_vt('${QUEUE}', $1::bigint[], 0)`, [await numbers(live)])
      for (const id of await numbers(live)) expect(await database.query(`select msg_id from pgmq.pop('${QUEUE}')`), id).toHaveLength(1)
    },
  ],
]

describe.each(takenAway)('executions in every live state, whose messages were taken away by %s,', (_, take) => {
  test('get them again by the tick, to be visible when they should be, and fw_health says so', async () => {
    const live = await everyState(database)
    expect(await allVisible(database, live)).toEqual(EXPECTED)
    expect(await health()).toMatchObject({ is_ok: true })
    await take(live)
    expect(Object.values(await allVisible(database, live))).toEqual(Object.keys(EXPECTED).map(() => 'missing'))
    expect(await health()).toMatchObject({
      is_ok: false,
      detail: expect.stringContaining('8 of the newest 2000 executions are live and have no message in the queue') as unknown,
      hint: expect.stringContaining('fw_repair(false)') as unknown,
    })
    await tick()
    // The executor of the test has room, so the tick offers what is visible.
    const offered = (await allVisible(database, live))['queued'] === 'now' ? {} : { queued: 'with the lease', child: 'with the lease' }
    expect(await allVisible(database, live)).toEqual({ ...EXPECTED, ...offered })
    expect(await health()).toMatchObject({ is_ok: true, detail: expect.stringContaining('8 things were mended') as unknown })
  })

  test('run to their end afterwards as if nothing had been done', async () => {
    const live = await everyState(database)
    await take(live)
    await repair(false)
    await database.query("select public.fw_emit_event($1, 'ready', '1')", [live.organizationId])
    for (const id of [live.ids.queued, live.ids.child, live.ids.awaiting]) {
      const held = (await claim(database, live.executor)).filter((row) => Object.values(live.ids).includes(row.execution_id))
      expect(await report(database, live.executor, held)).toEqual([])
      expect(await execution(database, id)).toMatchObject({ status: 'completed' })
    }
    // The child has ended, so its parent woke.
    const parents = await claim(database, live.executor)
    expect(await report(database, live.executor, parents)).toEqual([])
    expect(await execution(database, live.ids.parent)).toMatchObject({ status: 'completed' })
    for (const id of [live.ids.delayed, live.ids.sleeping, live.ids.retrying]) expect((await execution(database, id)).status).not.toBe('completed')
  })

  test('can be cancelled, all of them, without a message', async () => {
    const live = await everyState(database)
    await take(live)
    for (const id of Object.values(live.ids)) {
      const status = (await execution(database, id)).status
      const { ended } = one(await database.query<{ ended: boolean }>("select public.fw_cancel_execution($1, 'by hand') as ended", [id]))
      // The child was cancelled with its parent.
      expect([id, ended]).toEqual([id, status !== 'cancelled'])
      expect(await execution(database, id)).toMatchObject({ status: 'cancelled' })
    }
  })

  test('can be failed, all of them, without a message', async () => {
    const live = await everyState(database)
    await take(live)
    for (const id of Object.values(live.ids).filter((each) => each !== live.ids.child)) {
      expect(await database.query("select public.fw_fail_execution($1, 'by hand') as ended", [id])).toEqual([{ ended: true }])
      expect(await execution(database, id)).toMatchObject({ status: 'failed' })
    }
  })
})

describe('an execution without a message', () => {
  test('is compensated when it is cancelled so, or fails by hand: it runs once more for that', async () => {
    const live = await everyState(database)
    await database.query('update public.fw_execution_steps set is_compensable = true where execution_id = any ($1::uuid[])', [[live.ids.sleeping, live.ids.retrying, live.ids.awaiting]])
    await database.query(`select pgmq.delete('${QUEUE}', $1::bigint[])`, [await numbers(live)])
    expect(await database.query("select public.fw_cancel_execution($1, 'undo it', true) as ended", [live.ids.sleeping])).toEqual([{ ended: true }])
    for (const id of [live.ids.retrying, live.ids.awaiting]) await database.query("select public.fw_fail_execution($1, 'undo it')", [id])
    expect(await allVisible(database, live)).toMatchObject({ sleeping: 'now', retrying: 'now', awaiting: 'now', queued: 'missing' })
    await repair(false)
  })

  test('goes on from a step, when it is told to', async () => {
    const live = await everyState(database)
    await database.query(`select pgmq.delete('${QUEUE}', $1::bigint[])`, [await numbers(live)])
    for (const id of [live.ids.sleeping, live.ids.retrying]) {
      await database.query("select public.fw_continue_from($1, 'done before')", [id])
    }
    expect(await allVisible(database, live)).toMatchObject({ sleeping: 'now', retrying: 'now' })
    await repair(false)
  })

  test('reports as usual while it runs: what is tried again or handed back has a message again after the next tick', async () => {
    for (const what of ['failed', 'released', 'suspended']) {
      const live = await everyState(database)
      const { batch_id } = await execution(database, live.ids.running)
      const held = { execution_id: live.ids.running, batch_id: batch_id ?? '' }
      await database.query(`select pgmq.delete('${QUEUE}', $1::bigint)`, [await messageOf(database, live.ids.running)])
      if (what === 'failed') await reportFailures(database, live.executor, [{ ...held, delayMs: 86_400_000 }])
      else if (what === 'released') await database.query('select public.fw_release($1, array[$2::uuid], array[$3::uuid], array[259200000])', [live.executor, held.execution_id, held.batch_id])
      else await suspend(database, live.executor, held, { key: 'ready' })
      expect(await allVisible(database, live)).toMatchObject({ running: 'missing' })
      await tick()
      expect(await allVisible(database, live)).toMatchObject({ running: { failed: 'in 1 days', released: 'in 3 days', suspended: 'never' }[what] })
      await expectInvariantsZero(database.pool)
    }
  })

  test('whose number another execution has, too, gets one of its own', async () => {
    const live = await everyState(database)
    await database.query('update public.fw_workflow_executions set msg_id = $2 where id = $1', [live.ids.retrying, await messageOf(database, live.ids.queued)])
    expect((await repair(false)).map((row) => [row.what, row.execution_id])).toEqual([['message missing', live.ids.retrying]])
    await database.query(`delete from pgmq.q_workflow_execution_queue q where q.message ->> 'execution_id' = $1 and msg_id <> $2`, [live.ids.retrying, await messageOf(database, live.ids.retrying)])
    expect(await allVisible(database, live)).toEqual(EXPECTED)
  })
})

describe('fw_repair', () => {
  test('says without an argument what it would mend, a row for each, and changes nothing', async () => {
    const live = await everyState(database)
    await database.query(`select pgmq.delete('${QUEUE}', $1::bigint[])`, [await numbers(live)])
    const rows = await repair()
    expect(rows.map((row) => [row.what, row.execution_id, row.organization_id]).sort()).toEqual(
      Object.values(live.ids)
        .map((id) => ['message missing', id, live.organizationId])
        .sort(),
    )
    expect(Object.values(await allVisible(database, live))).toEqual(Object.keys(EXPECTED).map(() => 'missing'))
    expect((await repair(true)).map((row) => row.execution_id).sort()).toEqual(Object.values(live.ids).sort())
    const mended = await repair(false)
    expect(mended.map((row) => row.execution_id).sort()).toEqual(Object.values(live.ids).sort())
    expect(await allVisible(database, live)).toEqual(EXPECTED)
    expect(await repair()).toEqual([])
  })

  test('a NULL is refused', async () => {
    await expect(database.query('select * from public.fw_repair(null)')).rejects.toMatchObject({ message: 'p_dry_run is NULL' })
  })

  test('a running execution whose executor has vanished too is tried again by the same tick', async () => {
    const live = await everyState(database)
    await database.query("update public.fw_worker_runs set lease_expires_at = now() - interval '1 second' where finished_at is null and organization_id = $1", [live.organizationId])
    await database.query(`select pgmq.delete('${QUEUE}', $1::bigint[])`, [await numbers(live)])
    await tick()
    expect(await execution(database, live.ids.running)).toMatchObject({ status: expect.not.stringMatching('^queued$') as unknown, retry_count: 1 })
  })
})

describe('messages that a foreign consumer has hidden into the far future', () => {
  const hiding: Way[] = [
    ['pgmq.set_vt', async (live) => database.query(`select pgmq.set_vt('${QUEUE}', $1::bigint[], 40000000)`, [await numbers(live)])],
    [
      'pgmq.read',
      async (live) => {
        await database.query(`select pgmq.set_vt('${QUEUE}', $1::bigint[], 0)`, [await numbers(live)])
        await database.query(`select pgmq.read('${QUEUE}', 40000000, 1000)`)
      },
    ],
  ]
  test.each(hiding)('by %s are visible again when they should be, by the tick or by fw_repair', async (_, hide) => {
    for (const mend of [tick, () => repair(false)]) {
      await database.query('update public.fw_executors set wants_work = false')
      const live = await everyState(database)
      await database.query('update public.fw_executors set wants_work = false')
      await hide(live)
      expect(new Set(Object.values(await allVisible(database, live)))).toEqual(new Set(['in 463 days']))
      expect(await health()).toMatchObject({ is_ok: false, detail: expect.stringContaining('hidden for longer') as unknown })
      await mend()
      // What waits for an event or a child wakes by that, long before.
      expect(await allVisible(database, live)).toEqual({ ...EXPECTED, awaiting: 'in 463 days', parent: 'in 463 days' })
    }
  })

  test('stay hidden where the worker itself has set them aside for an hour', async () => {
    const live = await everyState(database)
    await database.query(`select pgmq.set_vt('${QUEUE}', $1::bigint, 3500)`, [await messageOf(database, live.ids.queued)])
    await database.query("insert into public.fw_notices (kind, organization_id, execution_id, message) values ('set_aside', $1, $2, 'why')", [live.organizationId, live.ids.queued])
    await tick()
    expect((await allVisible(database, live))['queued']).toMatch(/in 0 days/)
  })

  test('and what an older version has delayed keeps its delay, which is not known', async () => {
    const live = await everyState(database)
    await database.query("update public.fw_workflow_executions set not_before = 'infinity' where id = $1", [live.ids.delayed])
    await repair(false)
    expect((await allVisible(database, live))['delayed']).toBe('in 3 days')
  })
})

describe('a dead letter that somebody has sent', () => {
  async function failed() {
    const name = workflow()
    const organizationId = await organization(database)
    const by = await executor(database, name)
    const { id } = one(await database.query<{ id: string }>("select public.fw_enqueue($1, '{}', $2) as id", [name, organizationId]))
    await database.query("select public.fw_fail_execution($1, 'by hand')", [id])
    return { id, by, organizationId }
  }

  test('for an execution that has one already is marked as rejected by the tick', async () => {
    const { id, organizationId } = await failed()
    const own = (await execution(database, id)).dlq_msg_id
    const sent = await sendRaw(database, { execution_id: id, organization_id: organizationId }, 'workflow_dlq')
    expect(await repair()).toEqual([{ what: 'dead letter sent by hand', execution_id: id, organization_id: organizationId, detail: `failed, so that dead letter ${sent} is not its own: it is marked as rejected` }])
    await tick()
    expect(await execution(database, id)).toMatchObject({ dlq_msg_id: own })
    expect(one(await database.query('select rejected, error from public.fw_dlq where msg_id = $1', [sent]))).toEqual({ rejected: true, error: `execution ${id} is failed, and this is not its dead letter` })
  })

  test('for a completed one is marked too, and for a failed one without any it stands for it, so that a retry revives it', async () => {
    const { id, organizationId } = await failed()
    const archived = (await execution(database, id)).dlq_msg_id
    await database.query("select pgmq.archive('workflow_dlq', $1::bigint)", [archived])
    const { sent } = one(await database.query<{ sent: string }>("select pgmq.send('workflow_dlq', message) as sent from pgmq.a_workflow_dlq where msg_id = $1", [archived]))
    await repair(false)
    expect(await execution(database, id)).toMatchObject({ dlq_msg_id: sent, discarded_at: null })
    await database.query('select public.fw_dlq_retry($1)', [sent])
    expect(await execution(database, id)).toMatchObject({ status: 'queued', dlq_msg_id: null })
    await database.query("select public.fw_cancel_execution($1, 'enough')", [id])
    const second = await sendRaw(database, { execution_id: id, organization_id: organizationId }, 'workflow_dlq')
    await tick()
    expect(one(await database.query('select rejected from public.fw_dlq where msg_id = $1', [second]))).toEqual({ rejected: true })
  })
})

describe('pgmq.create, called again for the queue,', () => {
  const indexes = async () =>
    (await database.query<{ indexdef: string }>("select indexdef from pg_indexes where schemaname = 'pgmq' and tablename = 'q_workflow_execution_queue' order by 1")).map((row) => row.indexdef)

  test('does not bring back the index on vt that was dropped', async () => {
    const before = await indexes()
    await database.query(`select pgmq.create('${QUEUE}')`)
    expect(await indexes()).toEqual(before)
    expect(before.filter((each) => /\(vt\)/.test(each))).toEqual([])
  })

  test('where the index came back all the same, fw_health says so and fw_repair drops it', async () => {
    const before = await indexes()
    await database.query('drop type pgmq.q_workflow_execution_queue_vt_idx')
    await database.query(`select pgmq.create('${QUEUE}')`)
    expect(await indexes()).toHaveLength(before.length + 1)
    expect(await health()).toMatchObject({ is_ok: false, detail: expect.stringContaining('the index of pgmq on vt alone') as unknown })
    expect((await repair(false)).map((row) => row.what)).toEqual(['index'])
    expect(await indexes()).toEqual(before)
    await database.query(`select pgmq.create('${QUEUE}')`)
    expect(await indexes()).toEqual(before)
    expect(await health()).toMatchObject({ is_ok: true })
  })
})
