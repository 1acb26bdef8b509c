create or replace function public.fw_is_paused() returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job public.fw_jobs;
begin
  if exists (select from public.fw_worker_config c where c.paused_at is not null) then
    return true;
  end if;
  -- Unscheduling process-workflow-queue is the runbook's way to pause. A statement of its own: there may be no schema cron.
  select * into v_job from public.fw_jobs j where j.name = 'process-workflow-queue' and j.installed_at is not null;
  if not found or not public.fw_may_use_pg_cron() then
    return false;
  end if;
  -- cron.job shows each role its own jobs only: that of another role is not seen, so nothing follows from that.
  return coalesce(v_job.installed_by = current_user, v_job.last_driver is distinct from 'pg_cron' or v_job.last_started_at < public.fw_now() - interval '5 minutes')
    and not exists (select from cron.job c where c.jobname = 'process-workflow-queue' and c.database = current_database() and c.active);
end
$$;
comment on function public.fw_is_paused() is
  'Whether the worker as a whole is paused: by fw_pause, or because its job process-workflow-queue was unscheduled in the pg_cron of this database. Where that runs the job as another role than the owner of the worker, which cannot see it, only fw_pause pauses.';
