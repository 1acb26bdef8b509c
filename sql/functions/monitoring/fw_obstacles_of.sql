create or replace function public.fw_obstacles_of(p_execution_id uuid) returns table (obstacle text, detail text, hint text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select o.obstacle, o.detail, o.hint
  from public.fw_workflow_executions e
  cross join lateral public.fw_obstacles(e.organization_id, e.workflow_name) o
  where e.id = p_execution_id and e.status in ('queued', 'retry_pending', 'waiting')
$$;
comment on function public.fw_obstacles_of(uuid) is
  'What keeps an execution that has not finished from its next run, as fw_obstacles says it. No row for one that runs or has finished, or when nothing keeps it.';
