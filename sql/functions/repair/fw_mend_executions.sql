create or replace function public.fw_mend_executions(p_execution_ids uuid[])
returns table (what text, execution_id uuid, organization_id uuid, detail text)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_batches uuid[];
  v_messages bigint[];
  v_ids uuid[];
  v_organization uuid;
begin
  -- In the order of all locks, and without waiting: what somebody works on just now is left to the next look.
  v_batches := array(
    select r.id from public.fw_worker_runs r
    where r.finished_at is null
      and r.id in (select e.batch_id from public.fw_workflow_executions e where e.id = any (p_execution_ids) and e.status = 'running')
    order by r.id
    for no key update of r skip locked);
  v_messages := array(
    select q.msg_id from pgmq.q_workflow_execution_queue q
    where q.msg_id in (select e.msg_id from public.fw_workflow_executions e where e.id = any (p_execution_ids))
    order by q.msg_id
    for update of q skip locked);
  v_ids := array(
    select e.id from public.fw_workflow_executions e
    where e.id = any (p_execution_ids) and e.status in ('queued', 'running', 'waiting', 'retry_pending')
      and (e.status <> 'running' or e.batch_id = any (v_batches)
        or not exists (select from public.fw_worker_runs r where r.id = e.batch_id and r.finished_at is null))
    order by e.id
    for no key update of e skip locked);
  return query
    with late as materialized (
      select m.* from public.fw_find_misplaced(v_ids) m where not m.is_missing and m.msg_id = any (v_messages)
    ), moved as (
      update pgmq.q_workflow_execution_queue q set vt = l.due_at from late l where q.msg_id = l.msg_id
    )
    select 'message invisible for too long', l.execution_id, l.organization_id, format('%s, and its message would have been visible at %s only: it is at %s', l.status, l.vt, l.due_at) from late l;
  return query
    select 'message missing', s.execution_id, s.organization_id, format('%s, and its message was not in the queue: it was sent again, to be visible at %s', s.status, s.due_at)
    from public.fw_send_missing_messages(v_ids) s;
  for v_organization in select distinct e.organization_id from public.fw_workflow_executions e where e.id = any (v_ids) loop
    perform public.fw_wake_executors(v_organization);
  end loop;
end
$$;
comment on function public.fw_mend_executions(uuid[]) is
  'Internal: of these executions those that are live get their message again where it is missing, and a message that would be invisible for longer than it should be becomes visible in time. What others hold locked is left out. Returns what was mended.';
