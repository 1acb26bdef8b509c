import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rowsRead, type Watched, watchedSession } from '../../support/plans.js'
import { type Claimed, claim, claimAsIs, claimOne, enqueue, execution, executor, type Held, makeVisible, one, organization, type Queryable, report, sqlDatabase, workflow } from '../../support/sql.js'

const EACH = 100_000
const CALL = 1000
const VISIBLE = 10_000
const QUEUE = 'q_workflow_execution_queue'
const SCAN = /Seq Scan on (q_workflow|fw_workflow_executions|fw_execution_steps|fw_worker_runs|fw_module_settings|fw_events)/

const database = sqlDatabase()
const name = workflow()
/** In one organization nothing waits, in the other so many do. */
let [alone, crowded] = ['', '']
let early: Watched
/** What claims cost while nothing waits anywhere. */
let before: Cost

beforeAll(async () => {
  alone = await organization(database, { batchSize: 50, concurrency: 100 })
  crowded = await organization(database, { batchSize: 50, concurrency: 100 })
  early = await session()
  // This session meets the tables empty, and keeps the plans that it makes then: they have to be right later too.
  await withExecutor(early.on, async (x) => {
    for (let round = 0; round < 6; round++) {
      const [id = ''] = await enqueue(early.on, name, alone)
      await suspend(early.on, x, [await claimOne(early.on, x)])
      await emit(early.on, id, alone)
      await report(early.on, x, [await claimOne(early.on, x)])
    }
  })
  await enqueue(database, name, alone, VISIBLE)
  await database.query('vacuum analyze')
  before = await costOfClaims(early, alone)

  await enable(crowded)
  await enqueue(database, name, crowded, 2 * EACH)
  await withExecutor(database, async (x) => {
    for (let made = 0; made < 2 * EACH; made += CALL) await suspend(database, x, await claim(database, x, CALL))
  })
  await enqueue(database, name, crowded, VISIBLE)
  await database.query('vacuum analyze')
})

afterAll(() => early.end())

/** Each other one sleeps for a day; the others wait without a limit for the event that is named after them. */
async function suspend(on: Queryable, x: string, held: readonly Held[]): Promise<void> {
  const rows = await on.query<{ outcome: string }>(
    `select s.outcome
     from (select array_agg(e.place::integer order by e.place) as places,
         array_agg(case when e.place % 2 = 0 then 'sleep' else 'event' end order by e.place) as names,
         array_agg(case when e.place % 2 = 0 then 86400000::bigint end order by e.place) as times,
         array_agg(case when e.place % 2 = 1 then 'event of ' || e.id end order by e.place) as keys,
         array_fill(0, array[count(*)::integer]) as zeroes, array_fill(null::text, array[count(*)::integer]) as nothing
       from unnest($2::uuid[]) with ordinality as e (id, place)) a,
     public.fw_suspend($1, $2, $3::uuid[], a.places, a.names, a.zeroes, a.times, a.nothing::timestamptz[], a.keys, a.nothing,
       a.nothing::jsonb[], a.nothing, a.nothing::integer[]) s`,
    [x, held.map(({ execution_id }) => execution_id), held.map(({ batch_id }) => batch_id)],
  )
  expect(rows.filter(({ outcome }) => outcome === 'waiting')).toHaveLength(held.length)
}

const emit = (on: Queryable, id: string, organizationId: string): Promise<unknown> =>
  on.query("select public.fw_emit_event($2, 'event of ' || $1::text, '7')", [id, organizationId])

async function session(): Promise<Watched> {
  const watched = await watchedSession(database)
  await watched.on.query('set auto_explain.log_buffers = on')
  return watched
}

const enable = (id: string): Promise<unknown> =>
  database.query('update public.fw_module_settings set fw_execution_worker_enabled = organization_id = $1', [id])

/** Stops the executor as well: the next one is the only one alive. */
async function withExecutor<T>(on: Queryable, use: (x: string) => Promise<T>): Promise<T> {
  const x = await executor(on, name)
  return await use(x).finally(() => on.query('select public.fw_stop_executor($1)', [x]))
}

interface Picks {
  /** Messages that the claim index gave, and those that were looked at in vain. */
  picked: number
  passedOver: number
  /** Pages that this took. */
  pages: number
}

interface Cost extends Picks {
  /** Rows that all statements read together, those that write included. */
  messages: number
  executions: number
  steps: number
}

/** Of two claims of 100: one that walks over the organizations with work, and one that need not. */
async function costOfClaims({ on, plansOf }: Watched, organizationId: string): Promise<Cost> {
  await enable(organizationId)
  return await withExecutor(on, async (x) => {
    const held: Claimed[] = []
    const plans = await plansOf(async () => {
      held.push(...(await claim(on, x, 100)), ...(await claimAsIs(on, x, 100)))
    })
    expect(held).toHaveLength(200)
    expect(held.filter(({ organization_id, steps }) => organization_id !== organizationId || steps !== null)).toEqual([])
    expect(await report(on, x, held)).toEqual([])

    expect(plans.filter((plan) => SCAN.test(plan))).toEqual([])
    const walks = plans.filter((plan) => plan.includes('Recursive Union'))
    expect(walks.length).toBeGreaterThan(0)
    expect(walks.filter((plan) => !plan.includes('using fw_queue_organization_vt_idx'))).toEqual([])
    return {
      ...picksOf(plans),
      messages: rowsRead(plans, QUEUE),
      executions: rowsRead(plans, 'fw_workflow_executions'),
      steps: rowsRead(plans, 'fw_execution_steps'),
    }
  })
}

function picksOf(plans: readonly string[]): Picks {
  const nodes = plans.filter((plan) => plan.includes('LockRows') && plan.includes(` on ${QUEUE}`)).map(pickOf)
  expect(nodes.length).toBeGreaterThan(0)
  const sum = (pattern: RegExp) => nodes.reduce((total, node) => total + Number(pattern.exec(node)?.[1] ?? 0), 0)
  return {
    picked: sum(/actual rows=([\d.]+)/),
    passedOver: sum(/Rows Removed by [\w ]+: (\d+)/),
    pages: sum(/Buffers: shared.* hit=(\d+)/) + sum(/Buffers: shared.* read=(\d+)/),
  }
}

/** The lines about the node that finds the messages by the claim index. */
function pickOf(plan: string): string {
  const [, node = ''] = plan.split(`Index Scan using fw_queue_organization_vt_idx on ${QUEUE}`)
  expect(node, plan).not.toBe('')
  return node.split(/\n\s+->/)[0] ?? ''
}

const waiting = async (step: string): Promise<string> =>
  one(await database.query<{ id: string }>(
    "select execution_id as id from public.fw_execution_steps where organization_id = $1 and status = 'waiting' and node_id = $2 limit 1",
    [crowded, step],
  )).id

test(`beside ${VISIBLE} visible messages ${EACH} executions sleep and ${EACH} wait for events`, async () => {
  const counts = await database.query(
    `select s.node_id as step, q.vt = 'infinity' as is_endless, count(*)::int
     from public.fw_execution_steps s
     join public.fw_workflow_executions e on e.id = s.execution_id and e.status = 'waiting'
     join pgmq.q_workflow_execution_queue q on q.msg_id = e.msg_id and q.vt > now()
     where s.organization_id = $1 and s.status = 'waiting' group by 1, 2 order by 1`,
    [crowded],
  )
  expect(counts).toEqual([{ step: 'event', is_endless: true, count: EACH }, { step: 'sleep', is_endless: false, count: EACH }])
})

describe.each([
  ['that met the tables empty', () => Promise.resolve(early)],
  ['that is new', () => session()],
])('in a session %s', (_, open) => {
  let watched: Watched
  beforeAll(async () => {
    watched = await open()
  })
  afterAll(async () => {
    if (watched !== early) await watched.end()
  })

  test('claims read the messages that they take, and no more than where nothing waits', async () => {
    const cost = await costOfClaims(watched, crowded)
    expect(before.pages).toBeGreaterThan(0)
    expect(cost).toMatchObject({ picked: 200, passedOver: 0 })
    expect(before).toMatchObject({ picked: 200, passedOver: 0 })
    expect(cost.messages).toBeLessThanOrEqual(before.messages + 20)
    expect(cost.executions).toBeLessThanOrEqual(before.executions)
    expect(cost.steps).toBeLessThanOrEqual(before.steps)
    expect(cost.pages).toBeLessThanOrEqual(2 * before.pages)
  })

  test('an event finds the one that waits for it by an index', async () => {
    const id = await waiting('event')
    const plans = await watched.plansOf(() => emit(watched.on, id, crowded))
    expect(plans.filter((plan) => SCAN.test(plan))).toEqual([])
    expect(plans.filter((plan) => plan.includes('Index Scan using fw_execution_steps_waiting_idx'))).toHaveLength(2)
    for (const table of ['fw_execution_steps', 'fw_workflow_executions', QUEUE]) {
      expect(rowsRead(plans, table), table).toBeGreaterThan(0)
      expect(rowsRead(plans, table), table).toBeLessThan(10)
    }
    await expectClaimed(id, { name: 'event', output: 7 })
  })

  test('a sleeper whose time has come is found as any other message is', async () => {
    const id = await waiting('sleep')
    await database.query("update public.fw_execution_steps set wake_at = now() - interval '1 second' where execution_id = $1", [id])
    await makeVisible(database, [id])
    await expectClaimed(id, { name: 'sleep', output: null })
  })

  /** Claims it, and it alone: what else is visible is a day younger. */
  async function expectClaimed(id: string, step: { name: string; output: unknown }): Promise<void> {
    const { on, plansOf } = watched
    expect(await execution(database, id)).toMatchObject({ status: 'waiting' })
    const moved = await database.query(
      `update pgmq.q_workflow_execution_queue q set vt = q.vt - interval '1 day' from public.fw_workflow_executions e
       where e.id = $1 and q.msg_id = e.msg_id and q.vt <= now() returning 1`,
      [id],
    )
    expect(moved).toHaveLength(1)
    await enable(crowded)
    await withExecutor(on, async (x) => {
      const held: Claimed[] = []
      const plans = await plansOf(async () => {
        held.push(...(await claim(on, x, 1)))
      })
      expect(held).toMatchObject([{ execution_id: id, steps: [step] }])
      expect(await report(on, x, held)).toEqual([])
      expect(plans.filter((plan) => SCAN.test(plan))).toEqual([])
      expect(rowsRead(plans, QUEUE)).toBeLessThan(20)
      expect(rowsRead(plans, 'fw_execution_steps')).toBeLessThan(10)
    })
  }
})

test('a claim that has room for more than there is looks at none of those that wait', async () => {
  await enable(crowded)
  await withExecutor(database, async (x) => {
    for (let held = await claim(database, x, 5000); held.length > 0; held = await claim(database, x, 5000)) await report(database, x, held)
  })
  const late = await session()
  try {
    for (const { on, plansOf } of [early, late]) {
      await enqueue(database, name, crowded, 10)
      await withExecutor(on, async (x) => {
        const held: Claimed[] = []
        const plans = await plansOf(async () => {
          held.push(...(await claim(on, x, 500)))
        })
        expect(held).toHaveLength(10)
        expect(picksOf(plans)).toMatchObject({ picked: 10, passedOver: 0 })
        expect(rowsRead(plans, QUEUE)).toBeLessThan(60)
        expect(plans.filter((plan) => SCAN.test(plan))).toEqual([])
        expect(await report(on, x, held)).toEqual([])
      })
    }
  } finally {
    await late.end()
  }
})

test('the watchdog of deadlines looks at none of those that wait', async () => {
  const late = await session()
  try {
    for (const { on, plansOf } of [early, late]) {
      const plans = await plansOf(() => on.query('select * from public.fw_check_deadlines()'))
      expect(plans.length).toBeGreaterThan(0)
      expect(rowsRead(plans, 'fw_workflow_executions')).toBeLessThan(100)
    }
  } finally {
    await late.end()
  }
})
