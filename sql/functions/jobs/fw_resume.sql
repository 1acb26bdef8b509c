create or replace function public.fw_resume() returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update public.fw_worker_config c set paused_at = null, pause_reason = null;
  if public.fw_is_paused() then
    raise notice 'the worker stays paused: its job process-workflow-queue is not scheduled in pg_cron; select fw_install_cron_jobs() schedules it';
    return false;
  end if;
  update public.fw_executors x set is_paused = false where x.stopped_at is null and x.is_paused;
  -- An empty payload names no organization: everybody looks.
  perform pg_notify('fw_work', 'null');
  return true;
end
$$;
comment on function public.fw_resume() is 'Ends a pause that fw_pause began, and wakes the executors. Returns false when pg_cron''s job is unscheduled, which pauses too.';
