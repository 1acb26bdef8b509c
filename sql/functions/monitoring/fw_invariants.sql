create or replace view public.fw_invariants with (security_invoker = true) as
with
live as (
  select * from public.fw_workflow_executions e where e.status in ('queued', 'running', 'waiting', 'retry_pending')
),
open_run as (
  select r.*, s.worker_semaphore_epoch, r.semaphore_epoch = s.worker_semaphore_epoch as is_current
  from public.fw_worker_runs r left join public.fw_module_settings s using (organization_id)
  where r.finished_at is null
),
violation (name, detail, example) as (
  select 'live_execution_without_message', 'queued, running, waiting or retry_pending, but its message is not in workflow_execution_queue', e.id::text
  from live e where not exists (select from pgmq.q_workflow_execution_queue q where q.msg_id = e.msg_id)
  union all
  select 'finished_execution_with_message', 'finished, but its message is still in workflow_execution_queue', e.id::text
  from pgmq.q_workflow_execution_queue q join public.fw_workflow_executions e on e.msg_id = q.msg_id
  where e.id = public.fw_to_uuid(q.message ->> 'execution_id') and e.status in ('completed', 'failed', 'timed_out', 'cancelled')
  union all
  select 'message_of_two_executions', 'two live executions share one message', min(e.id::text)
  from live e group by e.msg_id having count(*) > 1
  union all
  select 'attempt_differs', 'retry_count is not the attempt of its message minus one', e.id::text
  from live e join pgmq.q_workflow_execution_queue q on q.msg_id = e.msg_id
  where q.message -> 'attempt' is distinct from to_jsonb(e.retry_count + 1)
  union all
  select 'running_without_open_batch', 'running, but its batch is closed or missing', e.id::text
  from live e left join open_run r on r.id = e.batch_id where e.status = 'running' and r.id is null
  union all
  select 'open_places_differ', 'open of the batch is not the number of its running executions', r.id::text
  from open_run r
  where r.open <> (select count(*) from live e where e.batch_id = r.id and e.status = 'running') or r.open = 0
  union all
  select 'batch_does_not_add_up', 'size is not open + succeeded + failed + dead_lettered + released + lost + stopped', r.id::text
  from public.fw_worker_runs r where r.size <> r.open + r.succeeded + r.failed + r.dead_lettered + r.released + r.lost + r.stopped
    or (r.finished_at is not null and r.open <> 0)
  union all
  select 'semaphore_exceeded', 'more in flight than slots x batch size', r.organization_id::text
  -- By the clock, here and below: this transaction may have begun before what it sees was written.
  from open_run r where r.is_current and r.lease_expires_at > public.fw_clock()
  group by r.organization_id having sum(r.open) > max(r.semaphore_places)
  union all
  select 'worker_running_differs', 'worker_running does not say whether a batch is open', s.organization_id::text
  from public.fw_module_settings s
  where s.worker_running <> exists (select from open_run r where r.organization_id = s.organization_id and r.is_current)
  union all
  select 'organization_without_settings', 'has live executions but no row in fw_module_settings', e.organization_id::text
  from live e where not exists (select from public.fw_module_settings s where s.organization_id = e.organization_id)
  group by e.organization_id
  union all
  select 'failed_without_dead_letter', 'failed, but neither in workflow_dlq nor discarded from it', e.id::text
  from public.fw_workflow_executions e
  where e.status = 'failed' and (case when e.dlq_msg_id is null then e.discarded_at is null
    else not exists (select from pgmq.q_workflow_dlq d where d.msg_id = e.dlq_msg_id) end)
  union all
  select 'dead_letter_not_linked', 'in workflow_dlq, but its execution does not know', d.msg_id::text
  from pgmq.q_workflow_dlq d join public.fw_workflow_executions e on e.id = public.fw_to_uuid(d.message ->> 'execution_id')
  where d.message -> 'rejected' is distinct from 'true' and e.dlq_msg_id is distinct from d.msg_id
  union all
  select 'retry_without_time', 'retry_pending without next_retry_at, or the other way round', e.id::text
  from live e where (e.status = 'retry_pending') <> (e.next_retry_at is not null)
  union all
  select 'finished_child_waited_for', 'an execution waits for a child that has finished', s.execution_id::text
  from live e join public.fw_execution_steps s on s.execution_id = e.id and s.status = 'waiting'
  join public.fw_workflow_executions c on c.id = s.child_id and c.status in ('completed', 'failed', 'timed_out', 'cancelled')
  union all
  -- What no live executor knows is left for up to a minute by the claim that meets it.
  select 'waiting_for_nothing', 'waiting, but none of its steps is, and its message is not due within a minute', e.id::text
  from live e join pgmq.q_workflow_execution_queue q on q.msg_id = e.msg_id
  where e.status = 'waiting' and q.vt > public.fw_clock() + interval '1 minute' and not exists (
    select from public.fw_execution_steps s where s.execution_id = e.id and s.status = 'waiting')
  union all
  -- An emit in a transaction with an old snapshot is followed by another look, which the next tick takes at the latest.
  select 'kept_event_waited_for', 'an execution waits for an event that is kept, and that it has not received', s.execution_id::text
  from live e join public.fw_execution_steps s on s.execution_id = e.id and s.status = 'waiting' and s.event_key is not null
  where (s.wake_at is null or s.wake_at > public.fw_clock())
    and exists (
      select v.id from public.fw_events v
      where v.organization_id = s.organization_id and v.key = s.event_key and v.expires_at > public.fw_clock()
      except
      select had.event_id from public.fw_execution_steps had where had.execution_id = s.execution_id)
    and not exists (
      select from public.fw_unmatched_keys u
      where u.organization_id = s.organization_id and u.key = s.event_key and u.created_at > public.fw_now() - interval '5 minutes')
  union all
  select 'failed_without_undoing', 'failed, but what it has completed and could be undone was never to be undone', e.id::text
  from public.fw_workflow_executions e
  where e.status = 'failed' and e.compensating is null and exists (
    select from public.fw_execution_steps s where s.execution_id = e.id and s.is_compensable and s.status = 'completed')
  union all
  select 'step_without_execution', 'a checkpoint of an execution that is not there', s.execution_id::text
  from public.fw_execution_steps s
  where not exists (select from public.fw_workflow_executions e where e.id = s.execution_id)
  union all
  select 'failed_attempt_without_execution', 'a failed attempt of an execution that is not there', a.execution_id::text
  from public.fw_failed_attempts a
  where not exists (select from public.fw_workflow_executions e where e.id = a.execution_id)
)
select n.name, count(v.name) as violations, min(v.detail) || ', such as ' || min(v.example) as detail
from unnest(array[
  'live_execution_without_message', 'finished_execution_with_message', 'message_of_two_executions', 'attempt_differs',
  'running_without_open_batch', 'open_places_differ', 'batch_does_not_add_up', 'semaphore_exceeded', 'worker_running_differs',
  'organization_without_settings', 'failed_without_dead_letter', 'dead_letter_not_linked', 'retry_without_time',
  'finished_child_waited_for', 'waiting_for_nothing',
  'kept_event_waited_for', 'step_without_execution', 'failed_attempt_without_execution', 'failed_without_undoing']) as n (name)
left join violation v using (name)
group by n.name;
comment on view public.fw_invariants is
  'Counts every violation of the rules that state, queue, leases and dead letters keep to. All rows are zero, always; a look for maintainers, since it reads everything.';
