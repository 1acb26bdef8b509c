create or replace function public.fw_current_step(p_execution public.fw_workflow_executions, out step text, out since timestamptz)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select (p_execution).current_step, (p_execution).current_step_since
  from public.fw_worker_runs r
  where r.id = (p_execution).batch_id and (p_execution).status = 'running' and (p_execution).current_step_since >= r.claimed_at
$$;
comment on function public.fw_current_step(public.fw_workflow_executions) is
  'The step that a running execution is in, and since when, as its executor said when it extended the lease last: after a third of the visibility timeout for the first time. Both NULL when it does not run, is in no step, or that is not known yet.';
