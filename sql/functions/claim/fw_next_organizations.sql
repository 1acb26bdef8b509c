create or replace function public.fw_next_organizations(
  p_after text, p_room integer, p_rescan boolean,
  out organizations uuid[], out floors timestamptz[], out strays text[], out is_all boolean
)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_room integer := p_room;
  v_next record;
  v_walk no scroll cursor for
    with recursive ahead (key) as (
      select (select q.message ->> 'organization_id' collate "C" from pgmq.q_workflow_execution_queue q
              where (q.message ->> 'organization_id') collate "C" > p_after
              order by (q.message ->> 'organization_id') collate "C" limit 1)
      union all
      select (select q.message ->> 'organization_id' collate "C" from pgmq.q_workflow_execution_queue q
              where (q.message ->> 'organization_id') collate "C" > ahead.key
              order by (q.message ->> 'organization_id') collate "C" limit 1)
      from ahead where ahead.key is not null
    ), behind (key) as (
      select (select q.message ->> 'organization_id' collate "C" from pgmq.q_workflow_execution_queue q
              order by (q.message ->> 'organization_id') collate "C" limit 1)
      union all
      select (select q.message ->> 'organization_id' collate "C" from pgmq.q_workflow_execution_queue q
              where (q.message ->> 'organization_id') collate "C" > behind.key
              order by (q.message ->> 'organization_id') collate "C" limit 1)
      from behind where behind.key < p_after
    )
    select walk.key, first.vt, s.organization_id, s.fw_execution_worker_enabled, least(s.fw_worker_batch_size,
      s.fw_worker_batch_size * s.fw_worker_concurrency - coalesce((
        select sum(r.open) from public.fw_worker_runs r
        where r.organization_id = s.organization_id and r.finished_at is null
          and r.semaphore_epoch = s.worker_semaphore_epoch and r.lease_expires_at > public.fw_now()), 0)) as places
    from (select key from ahead where key is not null union all select key from behind where key <= p_after) as walk
    -- Only a key that is spelled as Postgres spells a uuid belongs to an organization.
    left join public.fw_module_settings s on s.organization_id = public.fw_to_uuid(walk.key) and s.organization_id::text = walk.key
    cross join lateral (
      select q.vt from pgmq.q_workflow_execution_queue q
      where (q.message ->> 'organization_id') collate "C" = walk.key and q.vt <= public.fw_now()
      order by q.vt limit 1
    ) as first;
begin
  organizations := '{}';
  strays := '{}';
  is_all := true;
  if not p_rescan then
    for v_next in
      (select s.organization_id, s.fw_worker_batch_size from public.fw_module_settings s
       where s.worker_has_more and s.fw_execution_worker_enabled and s.organization_id::text > p_after
       order by s.organization_id)
      union all
      (select s.organization_id, s.fw_worker_batch_size from public.fw_module_settings s
       where s.worker_has_more and s.fw_execution_worker_enabled and s.organization_id::text <= p_after
       order by s.organization_id)
    loop
      organizations := organizations || v_next.organization_id;
      v_room := v_room - v_next.fw_worker_batch_size;
      is_all := v_room > 0;
      exit when not is_all;
    end loop;
    return;
  end if;

  -- A skip scan of the claim index: one probe finds the next organization that has messages at all, another whether one
  -- of them is visible. Idle organizations have no entry and cost nothing. The walk starts after the one served last and
  -- wraps around; it is read lazily and ends as soon as the room is filled.
  -- By a cursor: a FOR loop would read up to fifty organizations ahead.
  open v_walk;
  loop
    fetch v_walk into v_next;
    exit when not found;
    if v_next.organization_id is null then
      strays := strays || v_next.key;
    elsif v_next.fw_execution_worker_enabled and v_next.places > 0 then
      organizations := organizations || v_next.organization_id;
      floors := floors || v_next.vt;
      v_room := v_room - v_next.places;
      is_all := v_room > 0;
      exit when not is_all;
    end if;
  end loop;
  close v_walk;
end
$$;
comment on function public.fw_next_organizations(text, integer, boolean) is
  'Internal: the organizations that a claim serves next, round robin after p_after, as many as fill the room with a batch each. Without p_rescan only those known to have more work. floors say where the oldest visible message of each lies, so that nobody passes the dead index entries before it again. strays are organization keys of messages that no settings row belongs to; is_all says that the walk came round.';
