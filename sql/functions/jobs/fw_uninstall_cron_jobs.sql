create or replace function public.fw_uninstall_cron_jobs() returns setof text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if public.fw_may_use_pg_cron() then
    -- Found first, unscheduled then: as one condition among others, unschedule would be tried on every job there is.
    return query
      with ours as materialized (
        select c.jobid, c.jobname::text as name from cron.job c
        where c.jobname in (select j.name from public.fw_jobs j) and c.database = current_database()
          and (c.username = current_user or (select r.rolsuper from pg_roles r where r.rolname = current_user))
      ), removed as materialized (
        select o.name, cron.unschedule(o.jobid) as is_removed from ours o
      )
      select r.name from removed r where r.is_removed order by r.name;
  end if;
  update public.fw_jobs j set installed_at = null, installed_by = null where j.installed_at is not null;
end
$$;
comment on function public.fw_uninstall_cron_jobs() is
  'Removes the jobs of fw_jobs from the pg_cron of this database; executors run them from then on. Returns the names of those that were there; of those that run as another role only a superuser knows. To pause the worker use fw_pause.';
