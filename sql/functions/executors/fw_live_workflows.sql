create or replace function public.fw_live_workflows() returns text[]
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(array_agg(distinct workflow), '{}')
  from public.fw_executors x cross join lateral unnest(x.workflows) as workflow
  where x.stopped_at is null and x.last_seen_at > public.fw_now() - interval '30 seconds'
$$;
comment on function public.fw_live_workflows() is 'Names of the workflows that some live executor can run.';
