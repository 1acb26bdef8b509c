create or replace function public.fw_waiting_organizations()
returns table (organization_id uuid, enabled boolean, oldest timestamptz)
language sql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
  -- The skip scan of fw_next_organizations, once round: a probe for each organization that has messages, none for the others.
  with recursive walk (key) as (
    select (select q.message ->> 'organization_id' collate "C" from pgmq.q_workflow_execution_queue q
            order by (q.message ->> 'organization_id') collate "C" limit 1)
    union all
    select (select q.message ->> 'organization_id' collate "C" from pgmq.q_workflow_execution_queue q
            where (q.message ->> 'organization_id') collate "C" > walk.key
            order by (q.message ->> 'organization_id') collate "C" limit 1)
    from walk where walk.key is not null
  )
  select s.organization_id, s.fw_execution_worker_enabled, first.vt
  from walk
  join public.fw_module_settings s on s.organization_id = public.fw_to_uuid(walk.key) and s.organization_id::text = walk.key
  cross join lateral (
    select q.vt from pgmq.q_workflow_execution_queue q
    where (q.message ->> 'organization_id') collate "C" = walk.key and q.vt <= public.fw_now()
    order by q.vt limit 1
  ) as first
  where walk.key is not null
$$;
comment on function public.fw_waiting_organizations() is
  'Organizations with work that could start now, whether their worker is enabled, and since when the oldest of it waits.';
