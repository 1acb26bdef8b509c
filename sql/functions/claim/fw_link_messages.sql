create or replace function public.fw_link_messages(p_message_ids bigint[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_ids uuid[];
begin
  -- The attempt in the message is the authority: the redrive recipe sets it. What is no attempt counts as the first.
  with cleaned as (
    update pgmq.q_workflow_execution_queue q set message =
      (q.message - 'error' - 'error_category' - 'failed_at' - 'rejected' - 'compensated' - 'not_compensated' - 'step' - 'executor')
      || jsonb_build_object('workflow_name', e.workflow_name, 'attempt', case
        when q.message ->> 'attempt' ~ '^[1-9][0-9]{0,5}$' then (q.message ->> 'attempt')::integer else 1 end)
    from public.fw_workflow_executions e
    where q.msg_id = any (p_message_ids) and e.id = public.fw_to_uuid(q.message ->> 'execution_id')
    returning q.msg_id, e.id, (q.message ->> 'attempt')::integer as attempt
  ), newest as (
    select distinct on (c.id) c.* from cleaned c order by c.id, c.msg_id
  ), linked as (
    update public.fw_workflow_executions e set
      status = case when n.attempt > 1 then public.fw_execution_status 'retry_pending' else 'queued' end,
      retry_count = n.attempt - 1, msg_id = n.msg_id, next_retry_at = case when n.attempt > 1 then public.fw_now() end,
      last_error = null, error_category = null, completed_at = null, discarded_at = null,
      deadline_at = null, deadline_left = null, deadline_warned_at = null, compensating = null
    from newest n
    where e.id = n.id
    returning e.id
  )
  select array_agg(l.id) into v_ids from linked l;
  perform public.fw_forget_ended_steps(v_ids);
end
$$;
comment on function public.fw_link_messages(bigint[]) is
  'Internal: makes each of these messages the one that stands for its execution, which is revived whatever it had failed with; the stale error is cleared. Of several for one execution the oldest wins.';
