create or replace function public.fw_install_cron_jobs(p_only_new boolean default false)
returns table (name text, schedule text, command text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if public.fw_pg_cron_version() is null then
    raise feature_not_supported using
      message = format('database %L has no pg_cron of version 1.5 or later', current_database()),
      detail = 'No job was installed. Executors run the jobs themselves as long as one lives.',
      hint = 'pg_cron lives in one database of a cluster, the one that cron.database_name names. If it is another one, run there what this prints: select fw_cron_statements().';
  end if;
  -- A job that was installed once and is not there any more was unscheduled by hand: an upgrade leaves it so.
  return query
    with wanted as (
      select j.name, j.schedule, public.fw_job_command(j.name) as command, c.jobid, c.schedule as schedule_there
      from public.fw_jobs j
      left join cron.job c on c.jobname = j.name and c.username = current_user
      where public.fw_job_command(j.name) is not null and (not p_only_new or j.installed_at is null or c.jobid is not null)
    ), scheduled as materialized (
      -- A schedule that somebody has changed stays when only what is new is asked for.
      select w.name, w.command, case when p_only_new then coalesce(w.schedule_there, w.schedule) else w.schedule end as schedule,
        cron.schedule(w.name, case when p_only_new then coalesce(w.schedule_there, w.schedule) else w.schedule end, w.command) as jobid
      from wanted w
    ), marked as (
      update public.fw_jobs j set installed_at = coalesce(j.installed_at, public.fw_now()) from scheduled s where j.name = s.name
    )
    select s.name, s.schedule, s.command from scheduled s order by s.name;
end
$$;
comment on function public.fw_install_cron_jobs(boolean) is
  'Gives the jobs of fw_jobs to the pg_cron of this database, to run as the current user; safe to repeat. p_only_new leaves jobs alone that were unscheduled or rescheduled by hand since they were installed. Returns what is scheduled.';
