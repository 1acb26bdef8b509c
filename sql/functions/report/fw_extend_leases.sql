create or replace function public.fw_extend_leases(
  p_executor_id uuid, p_execution_ids uuid[], p_batch_ids uuid[], p_steps text[] default null, p_step_ms bigint[] default null
) returns setof uuid
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
begin
  v_batches := public.fw_lock_leases(p_executor_id, p_batch_ids);
  update public.fw_worker_runs r set lease_expires_at = public.fw_now() + make_interval(secs => r.lease_seconds) where r.id = any (v_batches);
  -- In one order: a child that finishes, or an event, holds the messages of all whom it wakes.
  perform from pgmq.q_workflow_execution_queue q
  where q.msg_id = any (array(
    select e.msg_id from public.fw_workflow_executions e
    where e.id = any (p_execution_ids) and e.status = 'running' and e.batch_id = any (v_batches)))
  order by q.msg_id
  for update of q;
  update pgmq.q_workflow_execution_queue q set vt = r.lease_expires_at
  from unnest(p_execution_ids) as i (id)
  -- One by one: a join could be planned to begin with all executions that there are.
  cross join lateral (
    select x.msg_id, x.batch_id from public.fw_workflow_executions x
    where x.id = i.id and x.status = 'running' and x.batch_id = any (v_batches) limit 1) e
  join public.fw_worker_runs r on r.id = e.batch_id
  where q.msg_id = e.msg_id;
  if p_steps is not null then
    -- Once for each step, however often the lease is extended while it runs.
    update public.fw_workflow_executions e set current_step = i.step,
      current_step_since = case when i.step is not null then greatest(r.claimed_at, public.fw_now() - public.fw_milliseconds(i.ms)) end
    from unnest(p_execution_ids, p_steps, p_step_ms) as i (id, step, ms)
    cross join public.fw_worker_runs r
    where e.id = i.id and e.status = 'running' and r.id = e.batch_id and r.id = any (v_batches)
      and (e.current_step is distinct from i.step or e.current_step_since < r.claimed_at);
  end if;
  update public.fw_executors x set last_seen_at = public.fw_now(), is_paused = public.fw_is_paused() where x.id = p_executor_id;
  return query select distinct id from unnest(p_batch_ids) as id where id <> all (v_batches);
end
$$;
comment on function public.fw_extend_leases(uuid, uuid[], uuid[], text[], bigint[]) is
  'Extends the leases of these batches by a visibility timeout from now, and keeps the messages of these executions invisible as long. Each of these may have the step that it is in, and for how many milliseconds it has been in it (NULL for none). Returns the batches whose lease is lost: their work must stop.';
