create or replace function public.fw_compensate_executions(p_execution_ids uuid[], p_errors text[]) returns setof uuid
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_batches uuid[];
  v_messages bigint[];
  v_ids uuid[];
  v_running uuid[];
  v_running_batches uuid[];
  v_closed uuid[];
begin
  v_batches := array(
    select r.id from public.fw_worker_runs r
    where r.finished_at is null
      and r.id in (select e.batch_id from public.fw_workflow_executions e where e.id = any (p_execution_ids) and e.status = 'running')
    order by r.id
    for no key update of r);
  v_messages := array(
    select q.msg_id from pgmq.q_workflow_execution_queue q
    where q.msg_id in (select e.msg_id from public.fw_workflow_executions e where e.id = any (p_execution_ids))
    order by q.msg_id
    for update of q);
  select array_agg(e.id), array_agg(e.id) filter (where e.status = 'running'), array_agg(e.batch_id) filter (where e.status = 'running')
  into v_ids, v_running, v_running_batches
  from (
    select e.id, e.status, e.batch_id from public.fw_workflow_executions e
    where e.id = any (p_execution_ids) and e.msg_id = any (v_messages) and e.compensating is null
      and (e.status in ('queued', 'retry_pending', 'waiting') or (e.status = 'running' and e.batch_id = any (v_batches)))
    order by e.id
    for no key update of e
  ) e;
  if v_ids is null then
    return;
  end if;
  update pgmq.q_workflow_execution_queue q set vt = public.fw_now()
  from public.fw_workflow_executions e where e.id = any (v_ids) and q.msg_id = e.msg_id;
  update public.fw_workflow_executions e set
    status = case when e.retry_count > 0 then public.fw_execution_status 'retry_pending' else 'queued' end,
    next_retry_at = case when e.retry_count > 0 then public.fw_now() end, deadline_at = null, deadline_left = null,
    compensating = jsonb_build_object('status', 'cancelled', 'error', p_errors[array_position(p_execution_ids, e.id)], 'category', null)
  where e.id = any (v_ids);
  update public.fw_execution_steps s set status = 'skipped', completed_at = public.fw_now() where s.execution_id = any (v_ids) and s.status = 'waiting';
  if v_running is not null then
    with tally as (
      select t.batch_id, count(*) as total from unnest(v_running_batches) as t (batch_id) group by t.batch_id
    ), counted as (
      update public.fw_worker_runs r set open = r.open - t.total, stopped = r.stopped + t.total,
        finished_at = case when r.open = t.total then public.fw_now() end,
        finished_xid = case when r.open = t.total then pg_current_xact_id() end
      from tally t where r.id = t.batch_id
      returning r.organization_id, r.finished_at
    )
    select array_agg(distinct c.organization_id) into v_closed from counted c where c.finished_at is not null;
    if v_closed is not null then
      perform public.fw_release_semaphores(v_closed);
    end if;
    perform pg_notify('fw_batch', json_build_object('execution_id', i.id, 'batch_id', i.batch_id, 'reason', left(
      p_errors[array_position(p_execution_ids, i.id)], 1000))::text)
    from unnest(v_running, v_running_batches) as i (id, batch_id);
  end if;
  perform public.fw_wake_executors(o.organization_id)
  from (select distinct e.organization_id from public.fw_workflow_executions e where e.id = any (v_ids)) o;
  return query select id from unnest(v_ids) as id;
end
$$;
comment on function public.fw_compensate_executions(uuid[], text[]) is
  'Internal: turns live executions back: their next run compensates what they have completed, and then they end as cancelled. Handlers that run are aborted. Returns which.';
