create or replace function public.fw_run_holds_lease(p_batch_id uuid) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from public.fw_worker_runs r
    join public.fw_module_settings s on s.organization_id = r.organization_id
    where r.id = p_batch_id and r.finished_at is null and r.lease_expires_at > public.fw_now()
      and r.semaphore_epoch = s.worker_semaphore_epoch)
$$;
comment on function public.fw_run_holds_lease(uuid) is
  'Whether a batch may still write: it is open, its lease has not run out, and its semaphore was not reset.';
