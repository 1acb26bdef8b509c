create or replace function public.fw_cron_statements(p_uninstall boolean default false) returns setof text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select case when p_uninstall
    then format('select cron.unschedule(jobid) from cron.job where jobname = %L and database = %L;', j.name || ' @ ' || current_database(), current_database())
    else format('select cron.schedule_in_database(%L, %L, %L, %L);', j.name || ' @ ' || current_database(), j.schedule, public.fw_job_command(j.name), current_database()) end
  from public.fw_jobs j where public.fw_job_command(j.name) is not null order by j.period, j.name
$$;
comment on function public.fw_cron_statements(boolean) is
  'For a pg_cron that lives in another database of the cluster: the statements to run there, which schedule the jobs for this database, or remove them. The names carry the name of this database, so that several can share one pg_cron.';
