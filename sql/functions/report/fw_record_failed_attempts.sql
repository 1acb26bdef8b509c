create or replace function public.fw_record_failed_attempts(
  p_execution_ids uuid[], p_attempts integer[], p_errors text[], p_categories text[], p_permanent boolean[], p_steps text[], p_stacks text[]
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
  insert into public.fw_failed_attempts
    (id, execution_id, organization_id, attempt, error, error_category, is_permanent, step, stack, outcome, executor_id, executor_name, batch_id, failed_at)
  select public.fw_uuid(), e.id, e.organization_id, f.attempt, left(f.error, c.error_limit + 1), f.category, coalesce(f.permanent, false),
    left(f.step, 200), left(f.stack, c.error_limit + 1),
    case when e.compensating is not null and e.status in ('queued', 'retry_pending') then 'compensating' else e.status::text end,
    r.executor_id, x.name, e.batch_id, public.fw_now()
  from unnest(p_execution_ids, p_attempts, p_errors, p_categories, p_permanent, p_steps, p_stacks)
    as f (id, attempt, error, category, permanent, step, stack)
  cross join public.fw_worker_config c
  join public.fw_workflow_executions e on e.id = f.id
  left join public.fw_worker_runs r on r.id = e.batch_id
  left join public.fw_executors x on x.id = r.executor_id
  -- The end of a run that has undone all that it was to undo is no failed attempt: that was there before.
  where not (e.compensating is not null and e.status not in ('queued', 'retry_pending') and coalesce(f.permanent, false)
    and f.error = e.compensating ->> 'error');
  -- The dead letters say where it happened, too. What failed before its compensation says that of the failure, not of the compensation.
  update pgmq.q_workflow_dlq d set message = d.message || jsonb_strip_nulls(jsonb_build_object('step', a.step, 'executor', a.executor_name))
  from unnest(p_execution_ids) as f (id)
  join public.fw_workflow_executions e on e.id = f.id and e.status in ('failed', 'timed_out')
  cross join lateral (
    select a.step, a.executor_name from public.fw_failed_attempts a
    where a.execution_id = f.id
    order by (e.compensating is not null and a.outcome = 'compensating' and a.step is not null) desc, a.id desc limit 1
  ) a
  where d.msg_id = e.dlq_msg_id;
end
$$;
comment on function public.fw_record_failed_attempts(uuid[], integer[], text[], text[], boolean[], text[], text[]) is
  'Internal: keeps a row in fw_failed_attempts for each of these attempts, which fw_fail_attempts has just ended: a place in each array for each execution. Error and stack are cut to error_limit of fw_worker_config. Dead letters that came of it name the step and the executor.';
