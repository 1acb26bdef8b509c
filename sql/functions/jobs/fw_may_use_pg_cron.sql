create or replace function public.fw_may_use_pg_cron() returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select public.fw_pg_cron_version() is not null
    and coalesce((select has_schema_privilege(n.oid, 'usage') from pg_namespace n where n.nspname = 'cron'), false)
$$;
comment on function public.fw_may_use_pg_cron() is
  'Whether this database has a pg_cron of version 1.5 or later that the current role may use: it needs USAGE on the schema cron.';
