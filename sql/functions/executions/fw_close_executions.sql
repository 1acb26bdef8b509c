create or replace function public.fw_close_executions(
  p_execution_ids uuid[], p_statuses public.fw_execution_status[], p_errors text[], p_categories text[]
) returns table (execution_id uuid, batch_id uuid)
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
  delete from pgmq.q_workflow_execution_queue q
  using public.fw_workflow_executions e where e.id = any (p_execution_ids) and q.msg_id = e.msg_id;
  return query
    update public.fw_workflow_executions e set status = i.status, completed_at = public.fw_now(), next_retry_at = null,
      last_error = i.error, error_category = i.category
    from unnest(p_execution_ids, p_statuses, p_errors, p_categories) as i (id, status, error, category)
    where e.id = i.id
    returning e.id, e.batch_id;
end
$$;
comment on function public.fw_close_executions(uuid[], public.fw_execution_status[], text[], text[]) is
  'Internal: ends executions without a dead letter, a place in each array for each: its status, error and category. The caller holds their locks, or those of the batches in which they run.';
