// Work in every state, of organizations that calls aim at and of bystanders, which they do not; and how the bystanders' work ends.
import { claim, claimOne, deadLetter, enqueue, executor, makeVisible, one, organization, type Queryable, report, reportFailures, workflow } from '../support/sql.js'

export interface Party {
  organizationId: string
  /** The workflow of its executions, and that of their children. */
  name: string
  child: string
  executorId: string
  /** Executions by what became of them. */
  roles: Map<string, string>
}

const POLICY = { max_attempts: 3, backoff_initial_ms: 60_000 }
const EVENT = 'approved'

/** An organization whose work is queued, running, waiting in each way, retried, parked, compensating, and over in each way. */
export async function makeParty(on: Queryable): Promise<Party> {
  const [name, child] = [workflow(), workflow()]
  const organizationId = await organization(on, { batchSize: 50, concurrency: 40, visibilityTimeout: 600 })
  const executorId = await executor(on, [name, child], POLICY)
  const roles = new Map<string, string>()
  const take = async (role: string) => {
    const [id = ''] = await enqueue(on, name, organizationId)
    roles.set(role, id)
    return await claimOne(on, executorId)
  }
  const suspend = async (role: string, wait: { until?: string; key?: string; workflow?: string }) => {
    const { execution_id, batch_id } = await take(role)
    await on.query(
      `select * from public.fw_suspend($1, array[$2]::uuid[], array[$3]::uuid[], '{1}', '{wait}', '{0}', array[null]::bigint[], array[$4]::timestamptz[],
         array[$5]::text[], array[$6]::text[], array['{"role": "child"}']::jsonb[], array[null]::text[], array[null]::integer[])`,
      [executorId, execution_id, batch_id, wait.until ?? null, wait.key ?? null, wait.workflow ?? null],
    )
  }
  await suspend('sleeps', { until: '2100-01-01Z' })
  await suspend('waits for an event', { key: EVENT })
  await suspend('waits for a child', { workflow: child })
  await reportFailures(on, executorId, [{ ...(await claimChild(on, executorId)), error: 'the child failed once', delayMs: 3_600_000 }])
  await reportFailures(on, executorId, [{ ...(await take('is retried')), delayMs: 3_600_000 }])
  const parked = await take('is parked')
  await on.query("select * from public.fw_park($1, array[$2]::uuid[], array[$3]::uuid[], '{step a}', '{step b}', '{changed}')", [executorId, parked.execution_id, parked.batch_id])
  await on.query("update pgmq.q_workflow_execution_queue q set vt = now() + interval '1 hour' from public.fw_workflow_executions e where e.id = $1 and e.msg_id = q.msg_id", [parked.execution_id])
  const undone = await take('compensates')
  await report(on, executorId, [{ ...undone, done: false, completed: [{ name: 'reserve', index: 0, output: 1, compensable: true }] }])
  await reportFailures(on, executorId, [{ ...undone, permanent: true }])
  await on.query("update pgmq.q_workflow_execution_queue q set vt = now() + interval '1 hour' from public.fw_workflow_executions e where e.id = $1 and e.msg_id = q.msg_id", [undone.execution_id])
  await report(on, executorId, [{ ...(await take('has completed')), output: { large: 'x'.repeat(2000) }, completed: [{ name: 'a', index: 0, output: 1 }] }])
  await deadLetter(on, executorId, await take('has failed'))
  await deadLetter(on, executorId, await take('was discarded'))
  const discarded = one(await on.query<{ dlq_msg_id: string }>('select dlq_msg_id from public.fw_workflow_executions where id = $1', [roles.get('was discarded')]))
  await on.query("select pgmq.delete('workflow_dlq', $1::bigint)", [discarded.dlq_msg_id])
  await take('was cancelled')
  await on.query('select public.fw_cancel_execution($1)', [roles.get('was cancelled')])
  await take('is late')
  await on.query("update public.fw_workflow_executions set deadline_at = now() - interval '1 second' where id = $1", [roles.get('is late')])
  await on.query('select * from public.fw_check_deadlines()')
  await take('runs')
  await take('runs with a step')
  await report(on, executorId, [{ ...(await running(on, roles.get('runs with a step') ?? '')), done: false, completed: [{ name: 'first', index: 0, output: 1 }] }])
  for (const role of ['is queued', 'is queued too']) roles.set(role, (await enqueue(on, name, organizationId))[0] ?? '')
  // A tick offers it nothing.
  await on.query('update public.fw_executors set wants_work = false where id = $1', [executorId])
  return { organizationId, name, child, executorId, roles }
}

async function claimChild(on: Queryable, executorId: string) {
  return one(await claim(on, executorId))
}

async function running(on: Queryable, id: string): Promise<{ execution_id: string; batch_id: string }> {
  return one(await on.query<{ execution_id: string; batch_id: string }>('select id as execution_id, batch_id from public.fw_workflow_executions where id = $1', [id]))
}

/** Lets the work of a party end: what runs is reported, what waits goes on. Returns how each of its executions has ended. */
export async function finish(on: Queryable, party: Party): Promise<Record<string, unknown>> {
  const { organizationId, executorId, roles } = party
  for (const role of ['runs', 'runs with a step']) {
    const held = await running(on, roles.get(role) ?? '')
    await report(on, executorId, [{ ...held, output: role, completed: [{ name: 'last', index: 1, output: 2 }] }])
  }
  await on.query("select public.fw_emit_event($1, $2, '\"yes\"')", [organizationId, EVENT])
  await on.query("update public.fw_execution_steps set wake_at = now() where organization_id = $1 and wake_at > now()", [organizationId])
  for (let round = 0; round < 4; round++) {
    const live = await on.query<{ id: string }>("select id from public.fw_workflow_executions where organization_id = $1 and status in ('queued', 'retry_pending', 'waiting')", [organizationId])
    await makeVisible(on, live.filter(({ id }) => round > 1 || id !== roles.get('waits for a child')).map(({ id }) => id))
    for (const held of await claim(on, executorId)) {
      if (held.execution_id === roles.get('compensates')) {
        await on.query("select public.fw_record_compensation($1, $2, $3, 'reserve')", [executorId, held.execution_id, held.batch_id])
        await reportFailures(on, executorId, [{ ...held, error: 'it broke', permanent: true }])
      } else await report(on, executorId, [{ ...held, output: 'went on' }])
    }
  }
  return await stateOf(on, party)
}

/** What is known of the executions of a party, by role, their steps with them; nothing that depends on the time or on chance. */
export async function stateOf(on: Queryable, { organizationId, roles }: Party): Promise<Record<string, unknown>> {
  const rows = await on.query<{ id: string; state: unknown }>(
    `select e.id, jsonb_build_object('status', e.status, 'attempt', e.retry_count, 'output', e.output, 'error', e.last_error, 'category', e.error_category,
       'progress', e.progress, 'metadata', e.metadata, 'key', e.idempotency_key, 'input', e.input,
       'steps', (select jsonb_agg(jsonb_build_array(s.node_id, s.status, s.output_data, s.error_message) order by s.step_index, s.node_id)
         from public.fw_execution_steps s where s.execution_id = e.id),
       'attempts', (select count(*) from public.fw_failed_attempts a where a.execution_id = e.id)) as state
     from public.fw_workflow_executions e where e.organization_id = $1 order by e.id`,
    [organizationId],
  )
  const roleOf = new Map([...roles].map(([role, id]) => [id, role]))
  // Of two executions of one millisecond nobody knows which is the first.
  return Object.fromEntries(rows.map(({ id, state }): [string, unknown] => [roleOf.get(id) ?? 'the child', state]).sort(([a], [b]) => (a < b ? -1 : 1)))
}
