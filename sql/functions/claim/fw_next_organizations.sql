create or replace function public.fw_next_organizations(
  p_after text, p_room integer, p_rescan boolean,
  out organizations uuid[], out floors timestamptz[], out is_all boolean, out cursor text
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
  c_most_looks constant integer := 2000;
  v_room integer := p_room;
  v_next record;
  -- "least": the walk goes on with this organization or the next after it. What no uuid has at that place comes after the
  -- uuid, and before the next one.
  v_walk no scroll cursor for
    with recursive ahead (least, organization, vt, looks) as (
      select (p_after || '!') collate "C", null::text collate "C", null::timestamptz, 0
      union all
      select (case when k.key = o.key then o.key || '!' else k.key end) collate "C", case when k.key = o.key then o.key end, k.vt, w.looks + 1
      from ahead w
      cross join lateral (
        select s.organization_id::text collate "C" as key from public.fw_module_settings s
        where s.fw_execution_worker_enabled and s.organization_id::text collate "C" >= w.least
        order by s.organization_id::text collate "C" limit 1) o
      cross join lateral (
        select q.message ->> 'organization_id' collate "C" as key, q.vt from pgmq.q_workflow_execution_queue q
        where (q.message ->> 'organization_id') collate "C" >= o.key
        order by (q.message ->> 'organization_id') collate "C", q.vt limit 1) k
      where w.looks < c_most_looks
    ), behind (least, organization, vt, looks) as (
      select '!' collate "C", null::text collate "C", null::timestamptz, 0
      union all
      select (case when k.key = o.key then o.key || '!' else k.key end) collate "C", case when k.key = o.key then o.key end, k.vt, w.looks + 1
      from behind w
      cross join lateral (
        select s.organization_id::text collate "C" as key from public.fw_module_settings s
        where s.fw_execution_worker_enabled and s.organization_id::text collate "C" >= w.least
        order by s.organization_id::text collate "C" limit 1) o
      cross join lateral (
        select q.message ->> 'organization_id' collate "C" as key, q.vt from pgmq.q_workflow_execution_queue q
        where (q.message ->> 'organization_id') collate "C" >= o.key
        order by (q.message ->> 'organization_id') collate "C", q.vt limit 1) k
      where w.looks < c_most_looks and w.least <= p_after
    ), walk as (
      select a.least, a.organization, a.vt, a.looks from ahead a
      union all
      select b.least, b.organization, b.vt, b.looks from behind b where b.organization <= p_after or b.looks = c_most_looks
    )
    select w.least, w.looks, s.organization_id, w.vt, s.places
    from walk w
    left join lateral (
      select s.organization_id, least(s.fw_worker_batch_size,
        s.fw_worker_batch_size * s.fw_worker_concurrency - coalesce((
          select sum(r.open) from public.fw_worker_runs r
          where r.organization_id = s.organization_id and r.finished_at is null
            and r.semaphore_epoch = s.worker_semaphore_epoch and r.lease_expires_at > public.fw_now()), 0)) as places
      from public.fw_module_settings s
      where s.organization_id = w.organization::uuid and w.vt <= public.fw_now()
      -- So each is looked up by itself, also by a plan that was made when there were few: it would read all of them otherwise.
      limit 1
    ) s on true
    where s.organization_id is not null or w.looks = c_most_looks;
begin
  organizations := '{}';
  cursor := p_after;
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
      cursor := v_next.organization_id::text;
      v_room := v_room - v_next.fw_worker_batch_size;
      is_all := v_room > 0;
      exit when not is_all;
    end loop;
    return;
  end if;

  -- Two indexes are walked in turn: the next organization that is enabled, then the next that has messages at all, and where
  -- these are the same, its oldest message says whether one is visible. So neither organizations without messages cost anything,
  -- nor messages of organizations that are not enabled or not there. The walk starts after the one served last and wraps
  -- around; it is read lazily and ends as soon as the room is filled, or after so many looks: the next one goes on there.
  -- By a cursor: a FOR loop would read up to fifty organizations ahead.
  open v_walk;
  loop
    fetch v_walk into v_next;
    exit when not found;
    if v_next.places > 0 then
      organizations := organizations || v_next.organization_id;
      floors := floors || v_next.vt;
      cursor := v_next.organization_id::text;
      v_room := v_room - v_next.places;
      is_all := v_room > 0;
      exit when not is_all;
    end if;
    if v_next.looks = c_most_looks then
      cursor := rtrim(v_next.least, '!');
      is_all := false;
      exit;
    end if;
  end loop;
  close v_walk;
end
$$;
comment on function public.fw_next_organizations(text, integer, boolean) is
  'Internal: the organizations that a claim serves next, round robin after p_after, as many as fill the room with a batch each. Without p_rescan only those known to have more work. floors say where the oldest visible message of each lies, so that nobody passes the dead index entries before it again. cursor is where the next walk goes on; is_all says that the walk came round.';
