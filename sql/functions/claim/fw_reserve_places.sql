create or replace function public.fw_reserve_places(p_organizations uuid[], p_room integer, p_wait boolean)
returns table (
  organization_id uuid, claim_floor timestamptz, batch_size integer, lease_seconds integer, epoch bigint, places integer, quota integer
)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_locked uuid[];
begin
  -- The row lock makes the semaphore exact. An organization that another claim is serving is skipped; if that leaves none,
  -- the first is waited for, since losing a race is not the same as having no work.
  for v_try in 1..2 loop
    v_locked := array(
      select s.organization_id from public.fw_module_settings s
      where s.organization_id = any (p_organizations) and s.fw_execution_worker_enabled
      for no key update of s skip locked);
    exit when cardinality(v_locked) > 0 or not p_wait or v_try = 2 or not public.fw_wait_for_organization(p_organizations[1]);
  end loop;

  -- Only now, under the lock, are the places in use counted. The quantum is one batch, or as many as fill the room when a
  -- batch each does not.
  return query
    select r.organization_id, r.claim_floor, r.batch_size, r.lease_seconds, r.epoch, r.places, r.quota
    from (
      select w.*, least(w.wanted, p_room - coalesce(sum(w.wanted) over (
        order by w.position rows between unbounded preceding and 1 preceding), 0))::integer as quota
      from (
        select array_position(p_organizations, s.organization_id) as position, s.organization_id,
          s.worker_claim_floor as claim_floor, s.fw_worker_batch_size as batch_size,
          s.fw_worker_visibility_timeout_seconds as lease_seconds, s.worker_semaphore_epoch as epoch,
          s.fw_worker_batch_size * s.fw_worker_concurrency as places,
          greatest(0, least(
            s.fw_worker_batch_size * greatest(1, ceil(p_room::numeric / sum(s.fw_worker_batch_size) over ())),
            s.fw_worker_batch_size * s.fw_worker_concurrency - coalesce((
              select sum(r.open) from public.fw_worker_runs r
              where r.organization_id = s.organization_id and r.finished_at is null
                and r.semaphore_epoch = s.worker_semaphore_epoch and r.lease_expires_at > now()), 0))) as wanted
        from public.fw_module_settings s
        where s.organization_id = any (v_locked)
      ) w
    ) r
    where r.quota > 0
    order by r.position;
end
$$;
comment on function public.fw_reserve_places(uuid[], integer, boolean) is
  'Internal: locks the settings of these organizations and deals the room out to them, in their order, a batch each and never more than their semaphores have free. p_wait: the caller holds no lock yet, so an organization may be waited for.';
