create or replace function public.fw_send_missing_messages(p_execution_ids uuid[])
returns table (execution_id uuid, organization_id uuid, status public.fw_execution_status, due_at timestamptz)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
begin
  return query
    with missing as materialized (
      select m.*, nextval('pgmq.q_workflow_execution_queue_msg_id_seq') as new_msg_id
      from public.fw_find_misplaced(p_execution_ids) m where m.is_missing
    ), linked as (
      update public.fw_workflow_executions e set msg_id = m.new_msg_id,
        next_retry_at = case when e.status = 'retry_pending' then coalesce(e.next_retry_at, public.fw_now()) end
      from missing m where e.id = m.execution_id
      returning e.id, e.organization_id, e.status, e.workflow_name, e.retry_count, e.started_at, m.new_msg_id, m.due_at
    ), sent as (
      insert into pgmq.q_workflow_execution_queue (msg_id, vt, read_ct, message) overriding system value
      select l.new_msg_id, l.due_at, case when l.started_at is not null and l.status <> 'waiting' then 1 else 0 end,
        jsonb_build_object('execution_id', l.id, 'organization_id', l.organization_id, 'workflow_name', l.workflow_name, 'attempt', l.retry_count + 1)
      from linked l
    )
    select l.id, l.organization_id, l.status, l.due_at from linked l;
end
$$;
comment on function public.fw_send_missing_messages(uuid[]) is
  'Internal: sends the message of those of these executions, whose locks the caller holds, that are live and have none in the queue: from when on they may run, and with their attempt. Returns which.';
