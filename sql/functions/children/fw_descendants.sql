create or replace function public.fw_descendants(p_execution_ids uuid[]) returns setof uuid
language sql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
  with recursive below (id, status) as (
    select e.id, e.status from public.fw_workflow_executions e where e.parent_id = any (p_execution_ids)
    union
    select e.id, e.status from below join public.fw_workflow_executions e on e.parent_id = any (array[below.id])
  )
  select b.id from below b where b.status in ('queued', 'running', 'waiting', 'retry_pending')
$$;
comment on function public.fw_descendants(uuid[]) is 'Internal: the live executions below these: their children, the children of those, and so on.';
