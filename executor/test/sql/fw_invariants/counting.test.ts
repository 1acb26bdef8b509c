import { randomUUID } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { testDatabase } from '../../support/database.js'
import { claim, deadLetter, enqueue, executor, one, organization, type Queryable, report, reportFailures, withSessions, workflow } from '../../support/sql.js'

const database = testDatabase({ checkInvariants: false })

/** One execution, by id, in each state that matters, and two that run in one batch. */
const ids = { running: '', queued: '', retrying: '', completed: '', failed: '', discarded: '', organization: '', idle: '' }

beforeAll(async () => {
  const name = workflow()
  ids.organization = await organization(database, { batchSize: 2, concurrency: 1 })
  ids.idle = await organization(database)
  const x = await executor(database, name)
  const next = async () => {
    const id = one(await enqueue(database, name, ids.organization))
    return { id, held: one((await claim(database, x)).filter((row) => row.execution_id === id)) }
  }
  const completed = await next()
  await report(database, x, [{ ...completed.held, completed: [{ name: 'a', index: 0, output: 1 }] }])
  const failed = await next()
  await deadLetter(database, x, failed.held)
  const discarded = await next()
  await database.query("select pgmq.delete('workflow_dlq', $1::bigint)", [await deadLetter(database, x, discarded.held)])
  const retrying = await next()
  await reportFailures(database, x, [{ ...retrying.held, delayMs: 3_600_000 }])
  await enqueue(database, name, ids.organization, 2)
  const [running] = await claim(database, x)
  ids.queued = one(await enqueue(database, name, ids.organization))
  Object.assign(ids, { completed: completed.id, failed: failed.id, discarded: discarded.id, retrying: retrying.id, running: running?.execution_id })
})

async function violations(on: Queryable): Promise<Record<string, number>> {
  const rows = await on.query<{ name: string; violations: string }>('select name, violations from public.fw_invariants')
  return Object.fromEntries(rows.filter((row) => row.violations !== '0').map((row) => [row.name, Number(row.violations)]))
}

test('all rows are there and zero while every rule is kept', async () => {
  const rows = await database.query('select name, violations, detail from public.fw_invariants order by name')
  expect(rows.map((row) => [row['violations'], row['detail']])).toEqual(rows.map(() => ['0', null]))
  const tested = new Set(corruptions.flatMap(([, , counted]) => Object.keys(counted)))
  expect(rows.map((row) => row['name'])).toEqual([...tested].sort())
  const states = await database.query<{ status: string }>('select distinct status::text from public.fw_workflow_executions order by 1')
  expect(states.map((row) => row.status)).toEqual(['completed', 'failed', 'queued', 'retry_pending', 'running'])
})

type Corruption = [what: string, how: () => string, counted: Record<string, number>]

const ofExecution = (id: string) => `(select msg_id from public.fw_workflow_executions where id = '${id}')`
const ofRun = () => `(select batch_id from public.fw_workflow_executions where id = '${ids.running}')`

const corruptions: Corruption[] = [
  [
    'the message of a queued execution is gone',
    () => `delete from pgmq.q_workflow_execution_queue where msg_id = ${ofExecution(ids.queued)}`,
    { live_execution_without_message: 1 },
  ],
  [
    'the message of a retry and of a running execution are gone',
    () => `delete from pgmq.q_workflow_execution_queue where msg_id in (${ofExecution(ids.retrying)}, ${ofExecution(ids.running)})`,
    { live_execution_without_message: 2 },
  ],
  [
    'a completed execution still has its message',
    () => `insert into pgmq.q_workflow_execution_queue (msg_id, vt, message) overriding system value
           select msg_id, now(), jsonb_build_object('execution_id', id) from public.fw_workflow_executions where id = '${ids.completed}'`,
    { finished_execution_with_message: 1 },
  ],
  [
    'two executions share a message',
    () => `update public.fw_workflow_executions set msg_id = ${ofExecution(ids.running)} where id = '${ids.queued}'`,
    { message_of_two_executions: 1 },
  ],
  [
    'the attempt of an execution is not that of its message',
    () => `update public.fw_workflow_executions set retry_count = retry_count + 1 where id = '${ids.queued}'`,
    { attempt_differs: 1 },
  ],
  [
    'a message has lost its attempt',
    () => `update pgmq.q_workflow_execution_queue set message = message - 'attempt' where msg_id = ${ofExecution(ids.running)}`,
    { attempt_differs: 1 },
  ],
  [
    'a running execution is in no batch',
    () => `update public.fw_workflow_executions set batch_id = null where id = '${ids.running}'`,
    { running_without_open_batch: 1, open_places_differ: 1 },
  ],
  [
    'the batch of running executions is closed',
    () => `update public.fw_worker_runs set finished_at = now(), open = 0, succeeded = 2 where id = ${ofRun()}`,
    { running_without_open_batch: 2, worker_running_differs: 1 },
  ],
  [
    'a batch holds more places than run',
    () => `update public.fw_worker_runs set open = open - 1, succeeded = succeeded + 1 where id = ${ofRun()}`,
    { open_places_differ: 1 },
  ],
  [
    'an execution is counted nowhere',
    () => `update public.fw_worker_runs set size = size + 1 where id = ${ofRun()}`,
    { batch_does_not_add_up: 1 },
  ],
  [
    'more runs than there are places',
    () => `update public.fw_worker_runs set semaphore_places = 1 where id = ${ofRun()}`,
    { semaphore_exceeded: 1 },
  ],
  [
    'the worker is said to run and does not',
    () => `update public.fw_module_settings set worker_running = true where organization_id = '${ids.idle}'`,
    { worker_running_differs: 1 },
  ],
  [
    'the worker runs and is said not to',
    () => `set local session_replication_role = replica; update public.fw_module_settings set worker_running = false where organization_id = '${ids.organization}'`,
    { worker_running_differs: 1 },
  ],
  [
    'the settings of an organization with work are gone',
    () => `delete from public.fw_module_settings where organization_id = '${ids.organization}'`,
    { organization_without_settings: 1 },
  ],
  [
    'the dead letter of a failed execution is gone unnoticed',
    () => `set local session_replication_role = replica; delete from pgmq.q_workflow_dlq`,
    { failed_without_dead_letter: 1 },
  ],
  [
    'a failed execution has completed what could be undone, and it was not to be undone',
    () => `insert into public.fw_execution_steps (execution_id, node_id, organization_id, step_index, attempt_number, status, started_at, is_compensable)
      values ('${ids.failed}', 'booked', '${ids.organization}', 0, 1, 'completed', now(), true)`,
    { failed_without_undoing: 1 },
  ],
  [
    'a failed execution was neither discarded nor has a dead letter',
    () => `update public.fw_workflow_executions set discarded_at = null where id = '${ids.discarded}'`,
    { failed_without_dead_letter: 1 },
  ],
  [
    'an execution has a second dead letter',
    () => `insert into pgmq.q_workflow_dlq (vt, message) select vt, message from pgmq.q_workflow_dlq`,
    { dead_letter_not_linked: 1 },
  ],
  [
    'an execution waits for a retry without a time',
    () => `update public.fw_workflow_executions set next_retry_at = null where id = '${ids.retrying}'`,
    { retry_without_time: 1 },
  ],
  [
    'an execution has a time for a retry and waits for none',
    () => `update public.fw_workflow_executions set next_retry_at = now() where id = '${ids.queued}'`,
    { retry_without_time: 1 },
  ],
  [
    'an execution waits for a child that has finished',
    () => `insert into public.fw_execution_steps (execution_id, node_id, organization_id, step_index, attempt_number, status, started_at, child_id)
      values ('${ids.queued}', 'child', '${ids.organization}', 0, 1, 'waiting', now(), '${ids.completed}')`,
    { finished_child_waited_for: 1 },
  ],
  [
    'an execution waits and none of its steps does',
    () => `with w as (update public.fw_workflow_executions set status = 'waiting' where id = '${ids.queued}' returning msg_id)
      update pgmq.q_workflow_execution_queue q set vt = now() + interval '1 hour' from w where q.msg_id = w.msg_id`,
    { waiting_for_nothing: 1 },
  ],
  [
    'an execution waits for an event that came long ago',
    () => `insert into public.fw_execution_steps (execution_id, node_id, organization_id, step_index, attempt_number, status, started_at, event_key)
      values ('${ids.queued}', 'event k', '${ids.organization}', 0, 1, 'waiting', now(), 'k');
      insert into public.fw_events (id, organization_id, key, expires_at) values (public.fw_uuid(), '${ids.organization}', 'k', now() + interval '1 hour')`,
    { kept_event_waited_for: 1 },
  ],
  [
    'an execution waits for an event, and the second look at it is overdue',
    () => `insert into public.fw_execution_steps (execution_id, node_id, organization_id, step_index, attempt_number, status, started_at, event_key)
      values ('${ids.queued}', 'event k', '${ids.organization}', 0, 1, 'waiting', now(), 'k');
      insert into public.fw_events (id, organization_id, key, expires_at) values (public.fw_uuid(), '${ids.organization}', 'k', now() + interval '1 hour');
      insert into public.fw_unmatched_keys (organization_id, key, created_at) values ('${ids.organization}', 'k', now() - interval '6 minutes')`,
    { kept_event_waited_for: 1 },
  ],
  [
    'a step has no execution',
    () => `update public.fw_execution_steps set execution_id = '${randomUUID()}'`,
    { step_without_execution: 1 },
  ],
  [
    'a failed attempt has no execution',
    () => `update public.fw_failed_attempts set execution_id = '${randomUUID()}' where id = (select id from public.fw_failed_attempts limit 1)`,
    { failed_attempt_without_execution: 1 },
  ],
]

test.for(corruptions)('is counted: %s', async ([, how, counted]) => {
  await withSessions(database, 1, async (session) => {
    await session.query('begin')
    await session.query(how())
    expect(await violations(session)).toEqual(counted)
  })
})
