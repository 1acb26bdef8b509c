create or replace function public.fw_get_execution(p_execution_id uuid) returns public.fw_workflow_executions
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select e from public.fw_workflow_executions e where e.id = p_execution_id
$$;
comment on function public.fw_get_execution(uuid) is 'One execution with all that is known of it; NULL when there is none.';
