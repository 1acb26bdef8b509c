create or replace function public.fw_lock_leases(p_executor_id uuid, p_batch_ids uuid[]) returns uuid[]
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
begin
  -- The conditions stand here as columns, not as a call, so that they are checked again on the row that a wait returns.
  return array(
    select r.id from public.fw_worker_runs r
    join public.fw_module_settings s on s.organization_id = r.organization_id
    where r.id = any (p_batch_ids) and r.executor_id = p_executor_id
      and r.finished_at is null and r.lease_expires_at > public.fw_now() and r.semaphore_epoch = s.worker_semaphore_epoch
    order by r.id
    for no key update of r);
end
$$;
comment on function public.fw_lock_leases(uuid, uuid[]) is
  'Internal: locks those of these batches that this executor holds with a live lease, and returns their ids. Every write of an executor begins here; what is not returned is fenced.';
