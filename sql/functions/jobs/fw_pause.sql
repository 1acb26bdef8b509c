create or replace function public.fw_pause(p_reason text default null) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  update public.fw_worker_config c set paused_at = coalesce(c.paused_at, public.fw_now()), pause_reason = coalesce(left(p_reason, c.error_limit), c.pause_reason);
  update public.fw_executors x set is_paused = true where x.stopped_at is null;
$$;
comment on function public.fw_pause(text) is
  'Pauses the worker as a whole, at once: nothing new starts, for no organization; what is running finishes; messages stay. The reason is cut to error_limit of fw_worker_config. fw_resume goes on.';
