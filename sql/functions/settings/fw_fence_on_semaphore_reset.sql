create or replace function public.fw_fence_on_semaphore_reset() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The worker's own update raises the epoch itself and does not come here. After a reset by hand, raising it frees the
  -- places and fences every run of the old one, without waiting for a lock that a report may hold.
  if exists (
    select from public.fw_worker_runs r
    where r.organization_id = new.organization_id and r.finished_at is null and r.semaphore_epoch = old.worker_semaphore_epoch
  ) then
    new.worker_semaphore_epoch := old.worker_semaphore_epoch + 1;
  end if;
  return new;
end
$$;
comment on function public.fw_fence_on_semaphore_reset() is
  'Trigger of fw_module_settings: setting worker_running to false by hand frees the semaphore and fences the runs that held it.';

create or replace trigger fw_fence_on_semaphore_reset
  before update of worker_running on public.fw_module_settings
  for each row when (old.worker_running and not new.worker_running and new.worker_semaphore_epoch = old.worker_semaphore_epoch)
  execute function public.fw_fence_on_semaphore_reset();
