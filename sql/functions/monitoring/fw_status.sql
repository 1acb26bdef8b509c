create or replace function public.fw_status() returns table (
  organization_id uuid, enabled boolean, waiting bigint, delayed bigint, running bigint, dead_letters bigint,
  oldest_waiting interval, last_run_at timestamptz, last_batch_size integer
)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with queued as (
    select public.fw_to_uuid(q.message ->> 'organization_id') as organization_id,
      count(*) filter (where q.vt <= public.fw_now()) as visible, count(*) filter (where q.vt > public.fw_now()) as invisible, min(q.vt) filter (where q.vt <= public.fw_now()) as oldest
    from pgmq.q_workflow_execution_queue q group by 1
  ), open as (
    select r.organization_id, sum(r.open)::bigint as running from public.fw_worker_runs r
    where r.finished_at is null and r.lease_expires_at > public.fw_now() group by 1
  ), dead as (
    select d.organization_id, count(*) as dead_letters from public.fw_dlq d group by 1
  )
  select organization_id, coalesce(s.fw_execution_worker_enabled, false), coalesce(q.visible, 0),
    greatest(0, coalesce(q.invisible, 0) - coalesce(o.running, 0)), coalesce(o.running, 0), coalesce(d.dead_letters, 0),
    public.fw_now() - q.oldest, s.worker_last_run_at, s.worker_last_batch_size
  from public.fw_module_settings s
  full join queued q using (organization_id)
  full join open o using (organization_id)
  full join dead d using (organization_id)
  where q.visible > 0 or q.invisible > 0 or o.running > 0 or d.dead_letters > 0 or s.worker_last_run_at is not null
    or s.fw_execution_worker_enabled
  order by coalesce(q.visible, 0) desc, organization_id
$$;
comment on function public.fw_status() is
  'What an administrator looks at first: for each organization whether the worker is enabled, what waits, is delayed, runs and is dead-lettered, the longest wait, and the last run. The row without an organization counts messages that name none.';
