create or replace function public.fw_release(
  p_executor_id uuid, p_execution_ids uuid[], p_batch_ids uuid[], p_delays_ms bigint[] default null
) returns setof integer
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '500ms'
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_batches uuid[];
  v_places integer[];
  v_released uuid[];
  v_ids uuid[];             -- the same, and when each is visible
  v_visible timestamptz[];
  v_closed uuid[];
begin
  v_batches := public.fw_lock_leases(p_executor_id, p_batch_ids);
  select array_agg(i.place), array_agg(distinct e.id) into v_places, v_released
  from unnest(p_execution_ids, p_batch_ids) with ordinality as i (id, batch_id, place)
  -- One by one: a join could be planned to begin with all executions that there are.
  cross join lateral (
    select x.id from public.fw_workflow_executions x where x.id = i.id and x.batch_id = i.batch_id and x.status = 'running' limit 1) e
  where i.batch_id = any (v_batches);
  -- In one order: somebody for whom one of these waits may hold several of their messages.
  perform from pgmq.q_workflow_execution_queue q
  where q.msg_id = any (array(select e.msg_id from public.fw_workflow_executions e where e.id = any (v_released)))
  order by q.msg_id
  for update of q;
  select array_agg(d.id), array_agg(d.visible_at) into v_ids, v_visible
  from (
    select i.id, public.fw_now() + public.fw_milliseconds(coalesce(max(i.delay_ms), 0)) as visible_at
    from unnest(p_execution_ids, p_delays_ms) as i (id, delay_ms) where i.id = any (v_released) group by i.id
  ) d;
  update pgmq.q_workflow_execution_queue q set vt = d.visible_at
  from unnest(v_ids, v_visible) as d (id, visible_at)
  cross join lateral (select x.msg_id from public.fw_workflow_executions x where x.id = d.id limit 1) e
  where q.msg_id = e.msg_id;
  with released as (
    update public.fw_workflow_executions e set
      status = case when e.retry_count > 0 then public.fw_execution_status 'retry_pending' else 'queued' end,
      next_retry_at = case when e.retry_count > 0 then d.visible_at end,
      not_before = case when d.visible_at > public.fw_now() then d.visible_at end
    from unnest(v_ids, v_visible) as d (id, visible_at)
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
  perform public.fw_wake_executors(o.organization_id)
  from (select distinct e.organization_id from public.fw_workflow_executions e where e.id = any (v_released)) o;
  return query select place from generate_subscripts(p_execution_ids, 1) as place where place <> all (coalesce(v_places, '{}'));
end
$$;
comment on function public.fw_release(uuid, uuid[], uuid[], bigint[]) is
  'Hands executions back unfinished, as at a shutdown: they are visible at once, or after so many milliseconds where p_delays_ms says so, keep their checkpoints, and it costs no attempt. Returns the places (1-based) that were refused because the batch has lost its lease.';
