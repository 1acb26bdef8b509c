create or replace function public.fw_is_paused() returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from public.fw_worker_config c where c.paused_at is not null) then
    return true;
  end if;
  -- Unscheduling process-workflow-queue is the runbook's way to pause. A statement of its own: there may be no schema cron.
  if exists (select from public.fw_jobs j where j.name = 'process-workflow-queue' and j.installed_at is not null)
    and public.fw_pg_cron_version() is not null
  then
    return not exists (select from cron.job c where c.jobname = 'process-workflow-queue' and c.active);
  end if;
  return false;
end
$$;
comment on function public.fw_is_paused() is
  'Whether the worker as a whole is paused: by fw_pause, or because its job process-workflow-queue was unscheduled in the pg_cron of this database.';
