create or replace function public.fw_reap_lost_leases(p_execution_ids uuid[])
returns table (batch_id uuid, lost bigint, returned bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  c_error constant text := 'the lease ran out before the executor reported';
  c_category constant text := 'TIMEOUT';
  v_batches uuid[];
  v_lost uuid[];
  v_parents bigint[];  -- messages of those that wait for them
  v_attempts integer[];
  v_steps text[];      -- those that were under way, as far as was heard
  v_returned uuid[];   -- the batch of each
begin
  -- A batch that a late report has locked is left alone: the caller holds message locks that the report waits for.
  v_batches := array(
    select r.id from public.fw_worker_runs r
    where r.id = any (array(select e.batch_id from public.fw_workflow_executions e where e.id = any (p_execution_ids)))
    order by r.id
    for no key update of r skip locked);
  v_lost := array(
    select e.id from public.fw_workflow_executions e
    where e.id = any (p_execution_ids) and e.status = 'running' and e.batch_id = any (v_batches)
      and not public.fw_run_holds_lease(e.batch_id)
    order by e.id);
  -- One that fails for good wakes whoever waits for it, whose message is locked here without waiting, too.
  v_parents := array(
    select q.msg_id from pgmq.q_workflow_execution_queue q
    where q.msg_id = any (array(
      select parent.msg_id from public.fw_workflow_executions e join public.fw_workflow_executions parent on parent.id = e.parent_id
      where e.id = any (v_lost)))
    order by q.msg_id
    for update of q skip locked);
  v_lost := array(
    select e.id from public.fw_workflow_executions e
    left join public.fw_workflow_executions parent on parent.id = e.parent_id
    where e.id = any (v_lost)
      and (parent.msg_id is null or parent.msg_id = any (v_parents)
        or not exists (select from pgmq.q_workflow_execution_queue q where q.msg_id = parent.msg_id))
    order by e.id);
  if cardinality(v_lost) = 0 then
    return;
  end if;
  -- What was offered and never taken has not started: it goes back as it was, without a failed attempt.
  with returned as (
    update public.fw_workflow_executions e set
      status = case when e.retry_count > 0 then public.fw_execution_status 'retry_pending' else 'queued' end,
      next_retry_at = case when e.retry_count > 0 then public.fw_now() end,
      started_at = case when e.started_at < r.claimed_at then e.started_at end,
      deadline_at = case when e.started_at < r.claimed_at then e.deadline_at end
    from public.fw_worker_runs r
    where e.id = any (v_lost) and r.id = e.batch_id and r.taken_at is null
    returning e.id, e.batch_id
  ), tally as (
    select b.batch_id, count(*) as total from returned b group by b.batch_id
  ), counted as (
    update public.fw_worker_runs r set open = r.open - t.total, released = r.released + t.total,
      finished_at = case when r.open = t.total then public.fw_now() end,
      finished_xid = case when r.open = t.total then pg_current_xact_id() end
    from tally t where r.id = t.batch_id
  )
  select array(select l.id from unnest(v_lost) as l (id) where l.id not in (select b.id from returned b) order by l.id),
    array(select b.batch_id from returned b)
  into v_lost, v_returned;
  select array_agg(e.retry_count + 1 order by l.place), array_agg(c.step order by l.place) into v_attempts, v_steps
  from unnest(v_lost) with ordinality as l (id, place)
  join public.fw_workflow_executions e on e.id = l.id
  cross join lateral public.fw_current_step(e) c;
  return query
  with ended as (
    select * from public.fw_fail_attempts(
      v_lost, array_fill(c_error, array[cardinality(v_lost)]),
      array_fill(c_category, array[cardinality(v_lost)]), array_fill(false, array[cardinality(v_lost)]),
      array_fill(0::bigint, array[cardinality(v_lost)]))
  ), tally as (
    select e.batch_id, count(*) as total, count(*) filter (where e.outcome = 'failed') as dead
    from ended e group by e.batch_id
  ), counted as (
    update public.fw_worker_runs r set open = r.open - t.total, lost = r.lost + t.total - t.dead,
      dead_lettered = r.dead_lettered + t.dead, finished_at = case when r.open = t.total then public.fw_now() end,
      finished_xid = case when r.open = t.total then pg_current_xact_id() end
    from tally t where r.id = t.batch_id
  )
  select t.batch_id, t.total, 0::bigint from tally t
  union all
  select r.batch_id, 0, count(*) from unnest(v_returned) as r (batch_id) group by r.batch_id;
  perform public.fw_record_failed_attempts(
    v_lost, v_attempts, array_fill(c_error, array[cardinality(v_lost)]), array_fill(c_category, array[cardinality(v_lost)]),
    array_fill(false, array[cardinality(v_lost)]), v_steps, null);
  perform public.fw_release_semaphores(array(
    select distinct r.organization_id from public.fw_worker_runs r where r.id = any (v_batches) and r.finished_at is not null));
end
$$;
comment on function public.fw_reap_lost_leases(uuid[]) is
  'Internal: ends the attempts of running executions whose batch has lost its lease. Each is a failed attempt, of the executor that has vanished: tried again at once, since the visibility timeout was the wait, or dead-lettered after the last. What was offered and never taken goes back at no attempt. Returns how many of each batch were lost and returned.';
