create or replace function public.fw_result(
  p_execution_id uuid, out status text, out output jsonb, out error text, out error_category text
)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select e.status::text, e.output, e.last_error, e.error_category from public.fw_workflow_executions e where e.id = p_execution_id
$$;
comment on function public.fw_result(uuid) is
  'How an execution stands: its status, its output once completed, the last error where there was one. All NULL when there is no such execution.';
