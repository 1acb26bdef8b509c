create or replace function public.fw_dead_letter(
  p_execution_ids uuid[], p_errors text[], p_categories text[], p_status public.fw_execution_status default 'failed'
)
returns table (execution_id uuid, batch_id uuid)
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
  -- An execution that was redriven by hand may still have its earlier dead letter.
  delete from pgmq.q_workflow_dlq d
  using public.fw_workflow_executions e
  where e.id = any (p_execution_ids) and e.dlq_msg_id is not null and d.msg_id = e.dlq_msg_id;
  return query
    with gone as (
      delete from pgmq.q_workflow_execution_queue q
      using public.fw_workflow_executions e
      where e.id = any (p_execution_ids) and q.msg_id = e.msg_id
      returning e.id, q.message
    ), dead as (
      insert into pgmq.q_workflow_dlq (vt, message)
      select public.fw_now(), case when jsonb_typeof(g.message) = 'object' then g.message else '{}' end || jsonb_build_object(
        'execution_id', e.id, 'organization_id', e.organization_id, 'workflow_name', e.workflow_name,
        'attempt', coalesce((e.compensating ->> 'attempt')::integer, e.retry_count + 1), 'error', f.error, 'error_category', f.category,
        'failed_at', public.fw_now()) || coalesce((
          select jsonb_build_object('compensated', u.compensated, 'not_compensated', u.not_compensated) from public.fw_undone(array[e.id]) u), '{}')
      from unnest(p_execution_ids, p_errors, p_categories) as f (id, error, category)
      join public.fw_workflow_executions e on e.id = f.id
      left join gone g on g.id = f.id
      returning msg_id, message
    )
    update public.fw_workflow_executions e set
      status = p_status, completed_at = public.fw_now(), next_retry_at = null, dlq_msg_id = d.msg_id, discarded_at = null,
      last_error = d.message ->> 'error', error_category = d.message ->> 'error_category'
    from dead d
    where e.id = (d.message ->> 'execution_id')::uuid
    returning e.id, e.batch_id;
end
$$;
comment on function public.fw_dead_letter(uuid[], text[], text[], public.fw_execution_status) is
  'Internal: moves the messages of these executions to workflow_dlq with error, error_category and failed_at, where there are steps with compensations with the names of those that were compensated and those that were not, and marks them as failed, or timed_out.';
