create or replace function public.fw_pg_cron_is_in_charge() returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select public.fw_pg_cron_version() is not null and exists (select from public.fw_jobs j where j.installed_at is not null)
$$;
comment on function public.fw_pg_cron_is_in_charge() is
  'Whether the jobs were given to the pg_cron of this database. Executors then do not run them, not even when pg_cron fails to: fw_health says so.';
