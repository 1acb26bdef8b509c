create or replace function public.fw_release_semaphores(p_organizations uuid[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
begin
  -- Of two reports that close the last two batches at once, the second to get this lock sees both closed.
  perform from public.fw_module_settings s
  where s.organization_id = any (p_organizations)
  order by s.organization_id
  for no key update;
  -- A new epoch, so that this is not taken for a reset by hand.
  update public.fw_module_settings s set worker_running = false, worker_semaphore_epoch = s.worker_semaphore_epoch + 1
  where s.organization_id = any (p_organizations) and s.worker_running
    and not exists (
      select from public.fw_worker_runs r
      where r.organization_id = s.organization_id and r.finished_at is null and r.semaphore_epoch = s.worker_semaphore_epoch);
end
$$;
comment on function public.fw_release_semaphores(uuid[]) is
  'Internal: sets worker_running to false for those of these organizations that have no open batch left.';
