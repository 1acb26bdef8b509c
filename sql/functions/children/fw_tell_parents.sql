create or replace function public.fw_tell_parents(p_execution_ids uuid[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_parents uuid[];
  v_groups text[];
  v_counts bigint[];
  v_organization uuid;
begin
  with told as (
    update public.fw_execution_steps s set status = case when c.status = 'completed' then public.fw_step_status 'completed' else 'failed' end,
      output_data = c.output, error_message = c.last_error, completed_at = public.fw_now(), is_held = false
    from public.fw_workflow_executions c
    where c.id = any (p_execution_ids) and s.execution_id = any (array[c.parent_id]) and s.node_id = c.parent_step and s.child_id = c.id and s.status = 'waiting'
    returning s.execution_id, s.wait_group
  )
  select array_agg(t.execution_id), array_agg(t.wait_group), array_agg(t.total) into v_parents, v_groups, v_counts
  from (select t.execution_id, t.wait_group, count(*) as total from told t group by t.execution_id, t.wait_group) t;
  if v_parents is null then
    return;
  end if;
  if current_setting('transaction_isolation') <> 'read committed' then
    -- Its snapshot is older than the locks: a sibling that has finished since would look as if it went on, and the last two would each
    -- take the other for the last. So the siblings are locked, and one that was told since fails this with 40001, to be tried again.
    perform from public.fw_execution_steps s
    join unnest(v_parents, v_groups) as g (parent_id, wait_group) on s.execution_id = g.parent_id and s.wait_group = g.wait_group
    where s.status = 'waiting'
    order by s.execution_id, s.node_id
    for update of s;
  end if;
  -- As many of a map as have finished become visible.
  with next as (
    select h.execution_id, h.node_id, h.child_id
    from unnest(v_parents, v_groups, v_counts) as g (parent_id, wait_group, total)
    cross join lateral (
      select s.execution_id, s.node_id, s.child_id from public.fw_execution_steps s
      where s.execution_id = g.parent_id and s.wait_group = g.wait_group and s.status = 'waiting' and s.is_held
      order by s.step_index limit g.total
    ) h
  ), freed as (
    update public.fw_execution_steps s set is_held = false from next n where s.execution_id = any (array[n.execution_id]) and s.node_id = n.node_id
    returning s.child_id
  )
  update pgmq.q_workflow_execution_queue q set vt = public.fw_now()
  from freed f join public.fw_workflow_executions e on e.id = f.child_id
  where q.msg_id = e.msg_id;
  -- Under the lock of the parent's message: whoever is last sees that it is.
  update pgmq.q_workflow_execution_queue q set vt = public.fw_now()
  from unnest(v_parents, v_groups) as g (parent_id, wait_group)
  join public.fw_workflow_executions e on e.id = g.parent_id and e.status = 'waiting'
  where q.msg_id = e.msg_id and (g.wait_group is null or (
    select true from public.fw_execution_steps s
    where s.execution_id = g.parent_id and s.wait_group = g.wait_group and s.status = 'waiting' limit 1) is null);
  for v_organization in select distinct e.organization_id from public.fw_workflow_executions e where e.id = any (v_parents) loop
    perform public.fw_wake_executors(v_organization);
  end loop;
end
$$;
comment on function public.fw_tell_parents(uuid[]) is
  'Internal: of these executions, which have just finished, those that others wait for: their results go into the steps that wait, the next of a map become visible, and who has nothing more to wait for wakes. The caller holds the locks of fw_lock_with_parents.';
