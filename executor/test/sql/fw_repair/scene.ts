// Executions in every live state, and the ways in which somebody takes their messages away with pgmq's own functions.
import { checkpoint, claim, enqueue, execution, executor, one, organization, type Queryable, reportFailures, workflow } from '../../support/sql.js'

export interface Live {
  organizationId: string
  executor: string
  name: string
  /** By state: the id of an execution in it. */
  ids: { queued: string; delayed: string; running: string; retrying: string; sleeping: string; awaiting: string; parent: string; child: string }
}

/** What a wait of fw_suspend is: a sleep, an event or a child. */
interface Wait {
  until?: string
  key?: string
  child?: string
}

/** Lets an execution wait, as an executor does. */
export async function suspend(on: Queryable, by: string, held: { execution_id: string; batch_id: string }, wait: Wait): Promise<void> {
  await on.query(
    `select * from public.fw_suspend($1, array[$2::uuid], array[$3::uuid], array[1], array['wait'], array[1], array[null::bigint],
       array[$4::timestamptz], array[$5], array[$6], array['{}'::jsonb], array[null::text], array[null::integer], array['asked'], array[null::integer])`,
    [by, held.execution_id, held.batch_id, wait.until ?? null, wait.key ?? null, wait.child ?? null],
  )
}

/** One execution in each state that is live. The delayed one is due in three days, the sleeping one in two, the retry in one. */
export async function everyState(on: Queryable): Promise<Live> {
  const name = workflow()
  const organizationId = await organization(on, { batchSize: 50, visibilityTimeout: 600 })
  const by = await executor(on, name)
  const begin = async () => {
    const id = one(await enqueue(on, name, organizationId))
    const held = one((await claim(on, by)).filter((row) => row.execution_id === id))
    await checkpoint(on, by, held, { name: 'done before', index: 0, output: 1 })
    return { id, held }
  }
  const retrying = await begin()
  await reportFailures(on, by, [{ ...retrying.held, delayMs: 86_400_000 }])
  const sleeping = await begin()
  await suspend(on, by, sleeping.held, { until: new Date(Date.now() + 2 * 86_400_000).toISOString() })
  const awaiting = await begin()
  await suspend(on, by, awaiting.held, { key: 'ready' })
  const parent = await begin()
  await suspend(on, by, parent.held, { child: name })
  const { id: child } = one(await on.query<{ id: string }>('select id from public.fw_workflow_executions where parent_id = $1', [parent.id]))
  const running = await on.query<{ id: string }>('select public.fw_enqueue($1, $2, $3) as id', [name, '{}', organizationId])
  // The child is claimed as well, and handed back.
  const held = await claim(on, by)
  const back = one(held.filter((row) => row.execution_id === child))
  await on.query('select public.fw_release($1, array[$2::uuid], array[$3::uuid])', [by, child, back.batch_id])
  const { id: delayed } = one(await on.query<{ id: string }>("select public.fw_enqueue($1, '{}', $2, p_delay => '3 days') as id", [name, organizationId]))
  const queued = one(await enqueue(on, name, organizationId))
  return {
    organizationId,
    executor: by,
    name,
    ids: { queued, delayed, running: one(running).id, retrying: retrying.id, sleeping: sleeping.id, awaiting: awaiting.id, parent: parent.id, child },
  }
}

const SOON = 5 * 60_000

/** When the message of an execution becomes visible: `now`, `never`, or in about how many days; `missing` where there is none. */
export async function visible(on: Queryable, id: string): Promise<string> {
  const rows = await on.query<{ vt: Date | number }>(
    `select q.vt from public.fw_workflow_executions e join pgmq.q_workflow_execution_queue q on q.msg_id = e.msg_id
     where e.id = $1 and q.message ->> 'execution_id' = e.id::text and (q.message ->> 'attempt')::integer = e.retry_count + 1`,
    [id],
  )
  const vt = rows[0]?.vt
  if (vt === undefined) return 'missing'
  const inMs = Number(vt) - Date.now()
  if (inMs === Infinity) return 'never'
  if (inMs < SOON) return 'now'
  return inMs < 30 * 60_000 ? 'with the lease' : `in ${Math.round(inMs / 86_400_000)} days`
}

/** When each of the scene should be visible. */
export const EXPECTED = {
  queued: 'now',
  delayed: 'in 3 days',
  running: 'with the lease',
  retrying: 'in 1 days',
  sleeping: 'in 2 days',
  awaiting: 'never',
  parent: 'never',
  child: 'now',
} satisfies Record<keyof Live['ids'], string>

export async function allVisible(on: Queryable, live: Live): Promise<Record<string, string>> {
  const entries = await Promise.all(Object.entries(live.ids).map(async ([state, id]) => [state, await visible(on, id)] as const))
  return Object.fromEntries(entries)
}

/** The number of an execution's message. */
export const messageOf = async (on: Queryable, id: string): Promise<string> => (await execution(on, id)).msg_id
