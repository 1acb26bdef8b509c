create or replace function public.fw_lock_executions(p_execution_ids uuid[], p_with_parents boolean, p_with_claimed boolean default false)
returns table (execution_id uuid, status public.fw_execution_status, batch_id uuid, deadline_at timestamptz, is_compensating boolean)
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
  v_missing bigint[];       -- numbers of messages that somebody has taken away
begin
  -- The batches first: a report that holds one is waited for, and afterwards its executions are seen as it left them.
  v_batches := array(
    select r.id from public.fw_worker_runs r
    where r.finished_at is null
      and r.id = any (array(select e.batch_id from public.fw_workflow_executions e where e.id = any (p_execution_ids) and e.status = 'running'))
    order by r.id
    for no key update of r);
  v_messages := array(
    select q.msg_id from pgmq.q_workflow_execution_queue q
    where q.msg_id = any (array(
      select e.msg_id from public.fw_workflow_executions e where e.id = any (p_execution_ids)
      union all
      select parent.msg_id from public.fw_workflow_executions e join public.fw_workflow_executions parent on parent.id = e.parent_id
      where p_with_parents and e.id = any (p_execution_ids)))
    order by q.msg_id
    for update of q);
  -- What was claimed meanwhile runs in a batch that is not locked: it is left to the next look, or its batch is locked now. But a
  -- report that holds this waits for these messages, so it is not waited for.
  if p_with_claimed then
    v_batches := v_batches || array(
      select r.id from public.fw_worker_runs r
      where r.finished_at is null and r.id <> all (v_batches)
        and r.id = any (array(select e.batch_id from public.fw_workflow_executions e where e.id = any (p_execution_ids) and e.status = 'running'))
      for no key update of r skip locked);
  end if;
  -- Those that were redriven by hand may have a dead letter still, which goes when they end.
  perform from pgmq.q_workflow_dlq d
  where d.msg_id = any (array(select e.dlq_msg_id from public.fw_workflow_executions e where e.id = any (p_execution_ids) and e.dlq_msg_id is not null))
  order by d.msg_id
  for update of d;
  -- Whose message is not there is ended without one. A number is given once, so what is missing stays so: whoever sends the message
  -- again gives the execution another number, and it is left to the next look.
  v_missing := array(
    select e.msg_id from public.fw_workflow_executions e
    where e.id = any (p_execution_ids) and e.msg_id <> all (v_messages) and e.status in ('queued', 'running', 'waiting', 'retry_pending')
      and not exists (select from pgmq.q_workflow_execution_queue q where q.msg_id = e.msg_id));
  return query
    select e.id, e.status, e.batch_id, e.deadline_at, e.compensating is not null
    from public.fw_workflow_executions e
    where e.id = any (p_execution_ids) and e.msg_id = any (v_messages || v_missing)
      and (e.status in ('queued', 'retry_pending', 'waiting') or (e.status = 'running' and e.batch_id = any (v_batches)))
    order by e.id
    for no key update of e;
end
$$;
comment on function public.fw_lock_executions(uuid[], boolean, boolean) is
  'Internal: locks those of these executions that are live, for somebody who is not their executor: the batches in which they run, their messages (p_with_parents: also those of the executions that wait for them), and the executions. Returns what it has locked, as it is now; not what was claimed while it waited (p_with_claimed: only if that is being reported at this moment).';
