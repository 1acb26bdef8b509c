create or replace function public.fw_turn_back(p_execution_ids uuid[], p_compensating jsonb[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
  update pgmq.q_workflow_execution_queue q set vt = public.fw_now()
  from public.fw_workflow_executions e where e.id = any (p_execution_ids) and q.msg_id = e.msg_id;
  -- The old deadline is over: the claim sets a new one, from the timeout of the workflow, for the compensations alone.
  update public.fw_workflow_executions e set
    status = case when e.retry_count > 0 then public.fw_execution_status 'retry_pending' else 'queued' end,
    next_retry_at = case when e.retry_count > 0 then public.fw_now() end, deadline_at = null, deadline_left = null, deadline_warned_at = null, not_before = null,
    compensating = t.compensating, last_error = t.compensating ->> 'error', error_category = t.compensating ->> 'category'
  from unnest(p_execution_ids, p_compensating) as t (id, compensating)
  where e.id = t.id;
  -- Whose message somebody has taken away gets another one.
  perform from public.fw_send_missing_messages(p_execution_ids);
  -- By array, not by a join: that would be planned as a walk over all steps while there are few.
  update public.fw_execution_steps s set status = 'skipped', completed_at = public.fw_now()
  where s.execution_id = any (p_execution_ids) and s.status = 'waiting';
  perform public.fw_wake_executors(o.organization_id)
  from (select distinct e.organization_id from public.fw_workflow_executions e where e.id = any (p_execution_ids)) o;
end
$$;
comment on function public.fw_turn_back(uuid[], jsonb[]) is
  'Internal: turns live executions, whose locks the caller holds, back: what they wait for is given up, and their next run, on any executor, only compensates; then each ends as its place in p_compensating says: {"status", "error", "category", "dead_letter", "attempt"}.';
