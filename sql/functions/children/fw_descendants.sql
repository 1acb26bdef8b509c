create or replace function public.fw_descendants(p_execution_ids uuid[]) returns setof uuid
language sql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
  with recursive below (id) as (
    select e.id from public.fw_workflow_executions e where e.parent_id = any (p_execution_ids)
    union
    select e.id from below join public.fw_workflow_executions e on e.parent_id = below.id
  )
  select b.id from below b join public.fw_workflow_executions e on e.id = b.id
  where e.status in ('queued', 'running', 'waiting', 'retry_pending')
$$;
comment on function public.fw_descendants(uuid[]) is 'Internal: the live executions below these: their children, the children of those, and so on.';
