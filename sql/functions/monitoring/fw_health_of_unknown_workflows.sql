create or replace function public.fw_health_of_unknown_workflows() returns table (subject text, is_ok boolean, detail text, hint text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  -- Bounded, for it is asked often: so many organizations, and so many messages of each, at both ends.
  c_most_organizations constant integer := 500;
  c_most_messages constant integer := 20;
  -- A claim puts off what nobody knows for at most a minute.
  c_put_off constant interval := '61 seconds';
  c_most_names constant integer := 5;
  v_live constant text[] := public.fw_live_workflows();
  v_names text[];
  v_example uuid;
begin
  with recursive walk (least, key, looks) as (
    select '!' collate "C", null::text collate "C", 0
    union all
    select (case when k.key = o.key then o.key || '!' else k.key end) collate "C", case when k.key = o.key then o.key end, w.looks + 1
    from walk w
    cross join lateral (
      select s.organization_id::text collate "C" as key from public.fw_module_settings s
      where s.fw_execution_worker_enabled and s.organization_id::text collate "C" >= w.least
      order by s.organization_id::text collate "C" limit 1) o
    cross join lateral (
      select q.message ->> 'organization_id' collate "C" as key from pgmq.q_workflow_execution_queue q
      where (q.message ->> 'organization_id') collate "C" >= o.key
      order by (q.message ->> 'organization_id') collate "C", q.vt limit 1) k
    where w.looks < c_most_organizations
  ), looked as (
    select walk.key, first.message from walk
    cross join lateral (
      select q.message from pgmq.q_workflow_execution_queue q
      where (q.message ->> 'organization_id') collate "C" = walk.key and q.vt <= public.fw_now()
      order by (q.message ->> 'organization_id') collate "C", q.vt limit c_most_messages
    ) first
    where walk.key is not null
    union all
    select walk.key, put_off.message from walk
    cross join lateral (
      select q.message from pgmq.q_workflow_execution_queue q
      where (q.message ->> 'organization_id') collate "C" = walk.key and q.vt > public.fw_now() and q.vt <= public.fw_now() + c_put_off
      order by (q.message ->> 'organization_id') collate "C", q.vt limit c_most_messages
    ) put_off
    where walk.key is not null
  ), unknown as (
    -- What is large is no message of ours. What runs has a lease, whoever knows it now.
    select l.message ->> 'workflow_name' as name, min(e.organization_id::text) as organization_id
    from looked l
    join public.fw_workflow_executions e on e.id = public.fw_to_uuid(l.message ->> 'execution_id') and e.status <> 'running'
    where pg_column_size(l.message) <= 32768 and (l.message ->> 'workflow_name') <> all (v_live)
    group by 1
  )
  select array_agg(u.name order by u.name), min(u.organization_id)::uuid into v_names, v_example from unknown u;

  subject := 'unknown workflows';
  is_ok := v_names is null;
  detail := case when is_ok then 'no work waits for a workflow that no live executor runs'
    else format('work waits for workflows that no live executor runs: %s%s, such as work of organization %s',
      (select string_agg(format('%L', left(name, 200)), ', ') from unnest(v_names[:c_most_names]) as name),
      case when cardinality(v_names) > c_most_names then format(' and %s more', cardinality(v_names) - c_most_names) else '' end, v_example) end;
  hint := case when not is_ok then 'Start an executor that has them: fw run <module>. Was one renamed? What waits under its old name waits for code with that name.' end;
  return next;
end
$$;
comment on function public.fw_health_of_unknown_workflows() is
  'Internal: the subject "unknown workflows" of fw_health: whether work of organizations whose worker is enabled waits for a workflow that no live executor runs. It looks at so many messages of so many organizations.';
