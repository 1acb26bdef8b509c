create or replace function public.fw_job_driver() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(
    nullif(current_setting('fw.job_driver', true), ''),
    case when current_setting('application_name') like 'pg\_cron%'
      or (select a.backend_type like 'pg\_cron%' from pg_stat_get_activity(pg_backend_pid()) a) then 'pg_cron' end,
    'session')
$$;
comment on function public.fw_job_driver() is
  'Internal: who runs the current job: pg_cron, executor <name> (which says so in the setting fw.job_driver), or session.';
