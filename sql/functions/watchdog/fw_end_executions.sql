create or replace function public.fw_end_executions(
  p_execution_ids uuid[], p_statuses public.fw_execution_status[], p_errors text[], p_categories text[], p_dead boolean[],
  p_only_late boolean default false
) returns table (execution_id uuid, organization_id uuid, was_running boolean)
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
  v_batches uuid[];
  v_messages bigint[];
  v_items integer[];      -- places of those that are ended
  v_running uuid[];       -- of these: executions, and the batch of each
  v_running_batches uuid[];
  v_running_dead boolean[];
  v_status public.fw_execution_status;
  v_dead integer[];
  v_closed uuid[];
begin
  -- The batches first: a report that holds one is waited for, and afterwards its executions are seen as it left them.
  v_batches := array(
    select r.id from public.fw_worker_runs r
    where r.finished_at is null
      and r.id in (select e.batch_id from public.fw_workflow_executions e where e.id = any (p_execution_ids) and e.status = 'running')
    order by r.id
    for no key update of r);
  v_messages := array(
    select q.msg_id from pgmq.q_workflow_execution_queue q
    where q.msg_id in (
      select e.msg_id from public.fw_workflow_executions e where e.id = any (p_execution_ids)
      union all
      select parent.msg_id from public.fw_workflow_executions e join public.fw_workflow_executions parent on parent.id = e.parent_id
      where e.id = any (p_execution_ids))
    order by q.msg_id
    for update of q);
  -- One that was claimed meanwhile runs in a batch that is not locked: it is left to the next look.
  select array_agg(e.item), array_agg(e.id) filter (where e.status = 'running'),
    array_agg(e.batch_id) filter (where e.status = 'running'), array_agg(p_dead[e.item]) filter (where e.status = 'running')
  into v_items, v_running, v_running_batches, v_running_dead
  from (
    select i.item, e.id, e.status, e.batch_id
    from unnest(p_execution_ids) with ordinality as i (id, item)
    join public.fw_workflow_executions e on e.id = i.id and e.msg_id = any (v_messages)
    where (e.status in ('queued', 'retry_pending', 'waiting') or (e.status = 'running' and e.batch_id = any (v_batches)))
      and (not p_only_late or e.deadline_at <= public.fw_now())
    order by e.id
    for no key update of e
  ) e;
  if v_items is null then
    return;
  end if;

  for v_status in select distinct p_statuses[item] from unnest(v_items) as item loop
    v_dead := array(select item from unnest(v_items) as item where p_statuses[item] = v_status and p_dead[item]);
    if cardinality(v_dead) > 0 then
      perform public.fw_dead_letter(
        array(select p_execution_ids[item] from unnest(v_dead) as item), array(select p_errors[item] from unnest(v_dead) as item),
        array(select p_categories[item] from unnest(v_dead) as item), v_status);
    end if;
  end loop;
  with ended as (
    update public.fw_workflow_executions e set status = p_statuses[i.item], completed_at = public.fw_now(), next_retry_at = null,
      last_error = p_errors[i.item], error_category = p_categories[i.item]
    from unnest(v_items) as i (item)
    where e.id = p_execution_ids[i.item] and not p_dead[i.item]
    returning e.msg_id
  )
  delete from pgmq.q_workflow_execution_queue q using ended where q.msg_id = ended.msg_id;
  update public.fw_execution_steps s set status = 'skipped', completed_at = public.fw_now()
  from unnest(v_items) as i (item)
  where s.execution_id = p_execution_ids[i.item] and s.status = 'waiting';

  perform public.fw_tell_parents(array(select p_execution_ids[item] from unnest(v_items) as item));

  if v_running is not null then
    with tally as (
      select t.batch_id, count(*) as total, count(*) filter (where t.dead) as dead
      from unnest(v_running_batches, v_running_dead) as t (batch_id, dead) group by t.batch_id
    ), counted as (
      update public.fw_worker_runs r set open = r.open - t.total, dead_lettered = r.dead_lettered + t.dead,
        stopped = r.stopped + t.total - t.dead, finished_at = case when r.open = t.total then public.fw_now() end,
        finished_xid = case when r.open = t.total then pg_current_xact_id() end
      from tally t where r.id = t.batch_id
      returning r.organization_id, r.finished_at
    )
    select array_agg(distinct c.organization_id) into v_closed from counted c where c.finished_at is not null;
    if v_closed is not null then
      perform public.fw_release_semaphores(v_closed);
    end if;
    -- Their executors hear it when this commits; if not, their next write is refused.
    perform pg_notify('fw_batch', json_build_object('execution_id', i.id, 'batch_id', i.batch_id, 'reason', left(
      p_errors[array_position(p_execution_ids, i.id)], 1000))::text)
    from unnest(v_running, v_running_batches) as i (id, batch_id);
  end if;
  return query
    select p_execution_ids[i.item], e.organization_id, coalesce(p_execution_ids[i.item] = any (v_running), false)
    from unnest(v_items) as i (item) join public.fw_workflow_executions e on e.id = p_execution_ids[i.item];
end
$$;
comment on function public.fw_end_executions(uuid[], public.fw_execution_status[], text[], text[], boolean[], boolean) is
  'Internal: ends live executions from outside, a place in each array for each: its final status, why, and whether it is dead-lettered. Those that run lose their place in the batch, and their executor is told by NOTIFY fw_batch. p_only_late: only those whose deadline has passed. Returns what was ended.';
