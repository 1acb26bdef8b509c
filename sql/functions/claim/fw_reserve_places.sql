create or replace function public.fw_reserve_places(
  p_organizations uuid[], p_floors timestamptz[], p_room integer, p_wait boolean,
  out organizations uuid[], out floors timestamptz[], out batch_sizes integer[], out leases integer[], out epochs bigint[],
  out places integer[], out quotas integer[], out first_batches integer[], out batches integer
)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  v_quantum integer;       -- of all of them together
  v_each integer;          -- batches that each is due
  v_is_running boolean;
  v_used integer[];
  v_room integer := p_room;
begin
  -- The row lock makes the semaphore exact. An organization that another claim is serving is skipped; if that leaves none,
  -- the first is waited for, since losing a race is not the same as having no work.
  for v_try in 1..2 loop
    if cardinality(p_organizations) = 1 then
      select array[s.organization_id], array[coalesce(p_floors[1], s.worker_claim_floor)], array[s.fw_worker_batch_size],
        array[s.fw_worker_visibility_timeout_seconds], array[s.worker_semaphore_epoch], array[s.fw_worker_batch_size * s.fw_worker_concurrency],
        s.fw_worker_batch_size, s.worker_running
      into organizations, floors, batch_sizes, leases, epochs, places, v_quantum, v_is_running
      from public.fw_module_settings s
      where s.organization_id = p_organizations[1] and s.fw_execution_worker_enabled
      for no key update of s skip locked;
    else
      select array_agg(s.organization_id), array_agg(coalesce(p_floors[s.position], s.worker_claim_floor)), array_agg(s.fw_worker_batch_size),
        array_agg(s.fw_worker_visibility_timeout_seconds), array_agg(s.worker_semaphore_epoch),
        array_agg(s.fw_worker_batch_size * s.fw_worker_concurrency), sum(s.fw_worker_batch_size), bool_or(s.worker_running)
      into organizations, floors, batch_sizes, leases, epochs, places, v_quantum, v_is_running
      from (
        select array_position(p_organizations, s.organization_id) as position, s.* from public.fw_module_settings s
        where s.organization_id = any (p_organizations) and s.fw_execution_worker_enabled
        order by position
        for no key update of s skip locked
      ) s;
    end if;
    exit when organizations is not null or not p_wait or v_try = 2 or not public.fw_wait_for_organization(p_organizations[1]);
  end loop;
  batches := 0;
  if organizations is null then
    return;
  end if;

  -- Only now, under the lock, are the places in use counted. Where no worker is running there are none.
  if v_is_running then
    v_used := array(
      select coalesce((
        select sum(r.open) from public.fw_worker_runs r
        where r.organization_id = o.organization_id and r.finished_at is null
          and r.semaphore_epoch = o.epoch and r.lease_expires_at > public.fw_now()), 0)
      from unnest(organizations, epochs) as o (organization_id, epoch));
  end if;

  -- The quantum is one batch, or as many as fill the room when a batch each does not.
  v_each := greatest(1, ceil(p_room::numeric / v_quantum));
  for v_position in 1..cardinality(organizations) loop
    quotas[v_position] := greatest(0, least(batch_sizes[v_position] * v_each, places[v_position] - coalesce(v_used[v_position], 0), v_room));
    first_batches[v_position] := batches + 1;
    batches := batches + ceil(quotas[v_position]::numeric / batch_sizes[v_position]);
    v_room := v_room - quotas[v_position];
  end loop;
end
$$;
comment on function public.fw_reserve_places(uuid[], timestamptz[], integer, boolean) is
  'Internal: locks the settings of these organizations and deals the room out to them, in their order, a batch each and never more than their semaphores have free. The arrays have a place for each organization that was locked: its settings, the places of its semaphore, its quota, and the number of its first batch out of so many batches. p_wait: the caller holds no lock yet, so an organization may be waited for.';
