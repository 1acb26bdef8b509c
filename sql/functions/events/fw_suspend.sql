create or replace function public.fw_suspend(
  p_executor_id uuid, p_execution_ids uuid[], p_batch_ids uuid[],
  p_wait_items integer[], p_wait_names text[], p_wait_indexes integer[], p_wait_ms bigint[], p_wait_until timestamptz[],
  p_wait_keys text[], p_wait_workflows text[], p_wait_inputs jsonb[], p_wait_groups text[], p_wait_limits integer[],
  p_wait_asked text[] default '{}', p_wait_asked_orders integer[] default '{}'
) returns table (place integer, outcome text, wake_in_ms bigint)
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
  v_batches uuid[];
  v_ids uuid[];         -- by place in the arguments; NULL for what may not be written
  v_wake timestamptz[]; -- the same
  v_closed uuid[];
begin
  v_batches := public.fw_lock_leases(p_executor_id, p_batch_ids);
  -- While the batches are locked nobody else ends these runs, so what is read here stays true.
  select array_agg(n.id order by n.item) into v_ids
  from (
    select i.item, case when row_number() over (partition by e.id order by i.item) = 1 then e.id end as id
    from unnest(p_execution_ids, p_batch_ids) with ordinality as i (id, batch_id, item)
    -- One by one: a join could be planned to begin with all executions that there are.
    left join lateral (
      select x.id from public.fw_workflow_executions x
      where x.id = i.id and x.batch_id = i.batch_id and x.status = 'running' and i.batch_id = any (v_batches) limit 1) e on true
  ) n;
  if array_remove(v_ids, null) <> '{}' then
    perform public.fw_record_waits(v_ids, p_wait_items, p_wait_names, p_wait_indexes, p_wait_ms, p_wait_until, p_wait_keys, p_wait_workflows,
      p_wait_inputs, p_wait_groups, p_wait_limits, p_wait_asked, p_wait_asked_orders);

    -- Visible again when the first of its waits is over; at once when one is already.
    -- By union, not by a join: without hashes that would be each with each.
    select array_agg(coalesce(i.wake_at, public.fw_now()) order by i.item) into v_wake
    from (
      select w.item, min(w.wake_at) as wake_at
      from (
        select item, null::timestamptz as wake_at from generate_subscripts(v_ids, 1) as item
        union all
        select w.item, case when s.status = 'waiting' then coalesce(s.wake_at, 'infinity')
          when s.wait_group is not null and (
            select true from public.fw_execution_steps other
            where other.execution_id = s.execution_id and other.wait_group = s.wait_group and other.status = 'waiting' limit 1) then 'infinity'
          else public.fw_now() end
        from unnest(p_wait_items, p_wait_names) as w (item, name)
        join public.fw_execution_steps s on s.execution_id = any (array[v_ids[w.item]]) and s.node_id = w.name
      ) w
      group by w.item
    ) i;
    -- Not read since it began to wait: whoever looks for what was claimed passes it over.
    update pgmq.q_workflow_execution_queue q set vt = r.wake_at, read_ct = 0
    from unnest(v_ids, v_wake) as r (id, wake_at)
    join public.fw_workflow_executions e on e.id = r.id
    where q.msg_id = e.msg_id;
    with suspended as (
      update public.fw_workflow_executions e set status = 'waiting', deadline_left = e.deadline_at - public.fw_now(), deadline_at = null
      where e.id = any (v_ids)
      returning e.batch_id
    ), tally as (
      select s.batch_id, count(*) as total from suspended s group by s.batch_id
    ), closed as (
      update public.fw_worker_runs r set open = r.open - t.total, released = r.released + t.total,
        finished_at = case when r.open = t.total then public.fw_now() end,
        finished_xid = case when r.open = t.total then pg_current_xact_id() end
      from tally t where r.id = t.batch_id
      returning r.organization_id, r.finished_at
    )
    select array_agg(distinct c.organization_id) into v_closed from closed c where c.finished_at is not null;
    if v_closed is not null then
      perform public.fw_release_semaphores(v_closed);
    end if;
  end if;
  return query
    select r.item::integer, case when r.id is null then 'fenced' else 'waiting' end,
      case when r.id is not null and r.wake_at < 'infinity' then greatest(0, ceil(extract(epoch from r.wake_at - public.fw_now()) * 1000))::bigint end
    from unnest(v_ids, v_wake) with ordinality as r (id, wake_at, item);
end
$$;
comment on function public.fw_suspend(uuid, uuid[], uuid[], integer[], text[], integer[], bigint[], timestamptz[], text[], text[], jsonb[], text[], integer[], text[], integer[]) is
  'Lets executions wait: each gives its place back and is visible again when the first of its waits is over. p_wait_items says to which place of the first two arrays a wait belongs (1-based); a wait has a name, an index, milliseconds from now or a time (NULL for no limit) and, for an event, its key; for a child, its workflow and input, and in a map the group and how many of it may be under way; and what it was asked, in words, with its place (asked_order). Returns what became of each place: waiting (and in how many milliseconds it wakes), or fenced.';
