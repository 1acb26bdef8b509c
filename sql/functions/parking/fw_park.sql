create or replace function public.fw_park(
  p_executor_id uuid, p_execution_ids uuid[], p_batch_ids uuid[], p_recorded text[], p_asked text[], p_reasons text[]
) returns table (place integer, outcome text, retry_in_ms bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '500ms'
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
  c_shortest constant interval := '1 second';
  c_longest constant interval := '1 minute';
  v_batches uuid[];
  v_items integer[];        -- places of those that are parked
  v_ids uuid[];             -- and their executions
  v_delays interval[];
  v_new uuid[];
  v_closed uuid[];
begin
  v_batches := public.fw_lock_leases(p_executor_id, p_batch_ids);
  select array_agg(n.item order by n.id), array_agg(n.id order by n.id) into v_items, v_ids
  from (
    select distinct on (e.id) i.item, e.id
    from unnest(p_execution_ids, p_batch_ids) with ordinality as i (id, batch_id, item)
    -- One by one: a join could be planned to begin with all executions that there are.
    cross join lateral (
      select x.id from public.fw_workflow_executions x where x.id = i.id and x.batch_id = i.batch_id and x.status = 'running' limit 1) e
    where i.batch_id = any (v_batches)
    order by e.id, i.item
  ) n;
  if v_ids is not null then
    perform from pgmq.q_workflow_execution_queue q
    where q.msg_id = any (array(select e.msg_id from public.fw_workflow_executions e where e.id = any (v_ids)))
    order by q.msg_id
    for update of q;
    with parked as (
      insert into public.fw_parked_executions as k (execution_id, organization_id, batch_id, parked_at, tries, executor, recorded, asked, reason)
      select e.id, e.organization_id, e.batch_id, public.fw_now(), 1,
        coalesce((select x.name from public.fw_executors x where x.id = p_executor_id), p_executor_id::text),
        coalesce(left(p_recorded[i.item], 10000), ''), coalesce(left(p_asked[i.item], 10000), ''), coalesce(left(p_reasons[i.item], 10000), 'the executor gave no reason')
      from unnest(v_items) as i (item)
      cross join lateral (
        select x.id, x.organization_id, x.batch_id from public.fw_workflow_executions x where x.id = p_execution_ids[i.item] limit 1) e
      -- Parked at the same place as before, and nothing of it has begun since: it still is.
      on conflict (execution_id) do update set
        batch_id = excluded.batch_id, executor = excluded.executor, reason = excluded.reason, recorded = excluded.recorded, asked = excluded.asked,
        (parked_at, tries) = (
          select case when same.is_same then k.parked_at else excluded.parked_at end, case when same.is_same then k.tries + 1 else 1 end
          from (select k.recorded = excluded.recorded and not exists (
            select from public.fw_execution_steps s where s.execution_id = k.execution_id and s.started_at > k.parked_at) as is_same) same)
      returning k.execution_id, k.parked_at, k.tries
    )
    select array_agg(least(greatest(public.fw_now() - p.parked_at, c_shortest), c_longest) order by p.execution_id),
      array_agg(p.execution_id) filter (where p.tries = 1)
    into v_delays, v_new
    from parked p;
    update pgmq.q_workflow_execution_queue q set vt = public.fw_now() + d.delay
    from unnest(v_ids, v_delays) as d (id, delay)
    cross join lateral (select x.msg_id from public.fw_workflow_executions x where x.id = d.id limit 1) e
    where q.msg_id = e.msg_id;
    with released as (
      update public.fw_workflow_executions e set
        status = case when e.retry_count > 0 then public.fw_execution_status 'retry_pending' else 'queued' end,
        next_retry_at = case when e.retry_count > 0 then public.fw_now() + d.delay end,
        -- The time for which it is parked does not count.
        deadline_left = coalesce(e.deadline_at - public.fw_now(), e.deadline_left), deadline_at = null
      from unnest(v_ids, v_delays) as d (id, delay)
      where e.id = d.id
      returning e.batch_id
    ), tally as (
      select r.batch_id, count(*) as total from released r group by r.batch_id
    )
    update public.fw_worker_runs r set open = r.open - t.total, released = r.released + t.total,
      finished_at = case when r.open = t.total then public.fw_now() end,
      finished_xid = case when r.open = t.total then pg_current_xact_id() end
    from tally t where r.id = t.batch_id;
    v_closed := array(select distinct r.organization_id from public.fw_worker_runs r where r.id = any (v_batches) and r.finished_at is not null);
    if cardinality(v_closed) > 0 then
      perform public.fw_release_semaphores(v_closed);
    end if;
    if v_new is not null then
      perform public.fw_give_notices('parked', array_agg(k.organization_id), array_agg(k.execution_id), array_agg(k.reason))
      from public.fw_parked_executions k where k.execution_id = any (v_new);
    end if;
  end if;
  return query
    select i.place::integer, case when n.place is null then 'fenced' else 'parked' end, (extract(epoch from v_delays[n.place]) * 1000)::bigint
    from generate_subscripts(p_execution_ids, 1) as i (place)
    cross join lateral (select array_position(v_items, i.place) as place) n;
end
$$;
comment on function public.fw_park(uuid, uuid[], uuid[], text[], text[], text[]) is
  'Parks running executions, because the executor''s code does not fit what was recorded: what was recorded, what the code asked for instead, and both in a sentence. They are visible again after as long as they have been parked, between a second and a minute, at no attempt; the time does not count for the deadline. Gives a notice the first time. Returns what became of each place (1-based): parked (and in how many milliseconds it is tried again), or fenced.';
