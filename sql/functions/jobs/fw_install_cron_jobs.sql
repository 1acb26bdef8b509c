create or replace function public.fw_install_cron_jobs(p_only_new boolean default false)
returns table (name text, schedule text, command text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_owner constant name := (select pg_get_userbyid(c.relowner) from pg_class c where c.oid = 'public.fw_jobs'::regclass);
  v_is_superuser constant boolean := (select r.rolsuper from pg_roles r where r.rolname = current_user);
  -- With the rights of the owner, whoever installs them: who may change the functions must not get those of a superuser by that.
  v_role constant name := case when v_is_superuser and (select r.rolcanlogin from pg_roles r where r.rolname = v_owner) then v_owner else current_user end;
  v_job record;
begin
  if public.fw_pg_cron_version() is null then
    raise feature_not_supported using
      message = format('database %L has no pg_cron of version 1.5 or later', current_database()),
      detail = 'No job was installed. Executors run the jobs themselves as long as one lives.',
      hint = 'pg_cron lives in one database of a cluster, the one that cron.database_name names. If it is another one, run there what this prints: select fw_cron_statements().';
  end if;
  if not public.fw_may_use_pg_cron() then
    raise insufficient_privilege using
      message = format('role %I may not use the pg_cron of database %L', current_user, current_database()),
      detail = 'No job was installed. Executors run the jobs themselves as long as one lives.',
      hint = format('Let a superuser, or whoever your provider names, run: grant usage on schema cron to %I; and call this again.', current_user);
  end if;
  -- A job that was installed once and is not there any more was unscheduled by hand: an upgrade leaves it so.
  for v_job in
    select j.name, c.schedule as schedule_there, j.schedule, public.fw_job_command(j.name) as command
    from public.fw_jobs j
    left join lateral (
      select c.jobid, c.schedule from cron.job c
      where c.jobname = j.name and c.database = current_database() and (c.username = v_role or v_is_superuser)
      order by c.username = v_role desc limit 1
    ) c on true
    where public.fw_job_command(j.name) is not null and (not p_only_new or j.installed_at is null or c.jobid is not null)
    order by j.name
  loop
    if v_is_superuser then
      perform cron.unschedule(c.jobid) from cron.job c
      where c.jobname = v_job.name and c.database = current_database() and c.username <> v_role;
    end if;
    name := v_job.name;
    -- A schedule that somebody has changed stays when only what is new is asked for.
    schedule := case when p_only_new then coalesce(v_job.schedule_there, v_job.schedule) else v_job.schedule end;
    command := v_job.command;
    if v_role = current_user then
      perform cron.schedule(v_job.name, schedule, command);
    else
      perform cron.schedule_in_database(v_job.name, schedule, command, current_database()::text, v_role::text);
    end if;
    update public.fw_jobs j set installed_at = coalesce(j.installed_at, public.fw_now()), installed_by = v_role where j.name = v_job.name;
    return next;
  end loop;
end
$$;
comment on function public.fw_install_cron_jobs(boolean) is
  'Gives the jobs of fw_jobs to the pg_cron of this database; safe to repeat. They run as the current role, or, where a superuser calls this, as the role that owns the worker''s tables, if that may log in. p_only_new leaves jobs alone that were unscheduled or rescheduled by hand since they were installed. Returns what is scheduled.';
