create or replace function public.fw_end_executions(
  p_execution_ids uuid[], p_statuses public.fw_execution_status[], p_errors text[], p_categories text[], p_dead boolean[],
  p_late_ids uuid[] default null, p_turn_back boolean[] default null
) returns table (execution_id uuid, organization_id uuid, was_running boolean, place integer, is_turned_back boolean)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_locked uuid[];          -- those that are live, and how
  v_locked_statuses public.fw_execution_status[];
  v_locked_batches uuid[];
  v_compensating uuid[];    -- of these those that compensate already
  v_late uuid[];            -- of these those whose deadline has passed
  v_items integer[];        -- places of those that are ended
  v_running integer[];      -- and of these those that run
  v_running_batches uuid[];
  v_turned integer[] := '{}';   -- and of the places those that are turned back before they end
  v_ended uuid[];
  v_status public.fw_execution_status;
  v_dead integer[];
begin
  select array_agg(l.execution_id), array_agg(l.status), array_agg(l.batch_id), array_agg(l.execution_id) filter (where l.deadline_at <= public.fw_now()),
    array_agg(l.execution_id) filter (where l.is_compensating)
  into v_locked, v_locked_statuses, v_locked_batches, v_late, v_compensating
  from public.fw_lock_executions(p_execution_ids, true, p_late_ids is null) l;
  if p_late_ids is not null then
    -- Each with all that work for it, or not at all: where one was born, or claimed, before the locks were held, it is left to the
    -- next look. A statement of its own, which sees what is committed now.
    v_late := array(
      select late.id from unnest(v_late) as late (id)
      where not exists (
        select from public.fw_descendants(array[late.id]) as d (id)
        join public.fw_workflow_executions e on e.id = d.id
        where d.id not in (select id from unnest(v_locked) as id)));
  end if;
  -- By union, not by a join: without hashes that would be each with each.
  select array_agg(e.item order by e.id), array_agg(e.item order by e.id) filter (where e.status = 'running'),
    array_agg(e.batch_id order by e.id) filter (where e.status = 'running')
  into v_items, v_running, v_running_batches
  from (
    select u.id, min(u.item)::integer as item, max(u.status) as status, (array_agg(u.batch_id) filter (where u.status is not null))[1] as batch_id
    from (
      select i.id, i.item, null::public.fw_execution_status as status, null::uuid as batch_id
      from unnest(p_execution_ids, p_late_ids) with ordinality as i (id, late_id, item)
      where p_late_ids is null or i.late_id = any (v_late)
      union all
      select l.id, null, l.status, l.batch_id from unnest(v_locked, v_locked_statuses, v_locked_batches) as l (id, status, batch_id)
    ) u
    group by u.id
    having count(u.item) > 0 and count(u.status) > 0
  ) e
  -- What is undone already goes on with that.
  where p_turn_back is null or not p_turn_back[e.item] or e.id <> all (coalesce(v_compensating, '{}'));
  if v_items is null then
    return;
  end if;

  if true = any (p_turn_back) then
    v_turned := array(
      select item from unnest(v_items) as item
      where p_turn_back[item] and exists (
        select from public.fw_execution_steps s where s.execution_id = any (array[p_execution_ids[item]]) and s.is_compensable and s.status = 'completed'));
    if cardinality(v_turned) > 0 then
      perform public.fw_turn_back(array_agg(e.id), array_agg(jsonb_build_object('status', p_statuses[t.item], 'error', p_errors[t.item],
        'category', p_categories[t.item], 'dead_letter', p_dead[t.item], 'attempt', e.retry_count + 1)))
      from unnest(v_turned) as t (item) join public.fw_workflow_executions e on e.id = p_execution_ids[t.item];
    end if;
  end if;
  v_ended := array(select p_execution_ids[item] from unnest(v_items) as item where item <> all (v_turned));
  if v_compensating && v_ended then
    p_errors := array(
      select case when p_execution_ids[item] = any (v_compensating) then public.fw_undone_text(p_execution_ids[item], p_errors[item]) else p_errors[item] end
      from generate_subscripts(p_execution_ids, 1) as item order by item);
  end if;
  for v_status in select distinct p_statuses[item] from unnest(v_items) as item loop
    v_dead := array(select item from unnest(v_items) as item where p_statuses[item] = v_status and p_dead[item] and item <> all (v_turned));
    if cardinality(v_dead) > 0 then
      perform public.fw_dead_letter(
        array(select p_execution_ids[item] from unnest(v_dead) as item), array(select p_errors[item] from unnest(v_dead) as item),
        array(select p_categories[item] from unnest(v_dead) as item), v_status);
    end if;
  end loop;
  perform public.fw_close_executions(array_agg(p_execution_ids[item]), array_agg(p_statuses[item]), array_agg(p_errors[item]), array_agg(p_categories[item]))
  from unnest(v_items) as item where not p_dead[item] and item <> all (v_turned);
  -- By array, not by a join: that would be planned as a walk over all steps while there are few.
  update public.fw_execution_steps s set status = 'skipped', completed_at = public.fw_now()
  where s.execution_id = any (v_ended) and s.status = 'waiting';

  perform public.fw_tell_parents(v_ended);

  if v_running is not null then
    perform public.fw_leave_batches(
      array(select p_execution_ids[item] from unnest(v_running) as item), v_running_batches,
      array(select p_dead[item] and item <> all (v_turned) from unnest(v_running) as item), array(select p_errors[item] from unnest(v_running) as item));
  end if;
  return query
    select e.id, e.organization_id, coalesce(i.item = any (v_running), false), i.item, i.item = any (v_turned)
    -- One by one: a join could be planned to begin with all executions that there are.
    from unnest(v_items) as i (item)
    cross join lateral (select x.id, x.organization_id from public.fw_workflow_executions x where x.id = p_execution_ids[i.item] limit 1) e;
end
$$;
comment on function public.fw_end_executions(uuid[], public.fw_execution_status[], text[], text[], boolean[], uuid[], boolean[]) is
  'Internal: ends live executions from outside, a place in each array for each: its final status, why, and whether it is dead-lettered. Those that run lose their place in the batch, and their executor is told by NOTIFY fw_batch. p_late_ids: a place ends its execution only if the deadline of this one, the execution itself or one above it, has passed, and all that live below that one end with it; an execution may have several places, of which the first that applies counts. p_turn_back: a place turns its execution back instead, when it has completed steps with compensations, and it ends as its place says once these have run; one that compensates already is left alone. Returns what was ended or turned back, and by which place.';
