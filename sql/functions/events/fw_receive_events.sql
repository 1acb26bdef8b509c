create or replace function public.fw_receive_events(p_execution_ids uuid[], p_keys text[]) returns setof uuid
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
  return query
    with pair as (
      select distinct e.id as execution_id, e.organization_id, k.key
      from unnest(p_execution_ids, p_keys) as k (execution_id, key)
      join public.fw_workflow_executions e on e.id = k.execution_id
      -- Looked up, not joined: that would be planned as a walk over all events while they are few.
      where (
        select true from public.fw_events v
        where v.organization_id = e.organization_id and v.key = k.key and v.expires_at > public.fw_now() limit 1)
    ), step as materialized (
      select s.execution_id, s.node_id, s.event_key, s.event_id, s.status, s.started_at, s.step_index
      from pair p join public.fw_execution_steps s on s.execution_id = any (array[p.execution_id]) and s.event_key = p.key
    ), matched as (
      -- By union, not by a join: without hashes that would be each with each.
      select m.execution_id, max(m.node_id) as node_id, (array_agg(m.event_id) filter (where m.event_id is not null))[1] as event_id
      from (
        select s.execution_id, s.event_key, s.node_id, null::uuid as event_id,
          row_number() over (partition by s.execution_id, s.event_key order by s.started_at, s.step_index) as place
        from step s where s.status = 'waiting'
        union all
        select p.execution_id, p.key, null, missed.id, missed.place
        from pair p
        cross join lateral (
          select u.id, row_number() over (order by u.id) as place
          from (
            -- With an offset, or it would be planned as a walk over all events in the order of their ids.
            select kept.id from (
              select v.id from public.fw_events v
              where v.organization_id = p.organization_id and v.key = p.key and v.expires_at > public.fw_now() offset 0
            ) kept
            except
            select s.event_id from step s where s.execution_id = p.execution_id and s.event_key = p.key
          ) u
        ) missed
      ) m
      group by m.execution_id, m.event_key, m.place
      having count(m.node_id) = 1 and count(m.event_id) = 1
    )
    update public.fw_execution_steps s set status = 'completed', output_data = v.payload, event_id = v.id, completed_at = public.fw_clock()
    from matched m join public.fw_events v on v.id = any (array[m.event_id])
    where s.execution_id = any (array[m.execution_id]) and s.node_id = m.node_id and s.status = 'waiting'
    returning s.execution_id;
end
$$;
comment on function public.fw_receive_events(uuid[], text[]) is
  'Internal: gives kept events to executions that wait for them, a place in each array for each execution and key: the waits in the order in which they began, the events in theirs, each that the execution has not received yet. The caller holds the locks of the keys and of the messages. Returns the execution of each wait that has received one.';
