create or replace function public.fw_leave_batches(p_execution_ids uuid[], p_batch_ids uuid[], p_dead boolean[], p_reasons text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_closed uuid[];
begin
  with tally as (
    select t.batch_id, count(*) as total, count(*) filter (where t.dead) as dead
    from unnest(p_batch_ids, p_dead) as t (batch_id, dead) group by t.batch_id
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
  perform pg_notify('fw_batch', json_build_object('execution_id', i.id, 'batch_id', i.batch_id, 'reason', left(i.reason, 1000))::text)
  from unnest(p_execution_ids, p_batch_ids, p_reasons) as i (id, batch_id, reason);
end
$$;
comment on function public.fw_leave_batches(uuid[], uuid[], boolean[], text[]) is
  'Internal: takes executions that ran out of their batches, which the caller has locked: a place in each array for each, whether it is dead-lettered (else it counts as stopped), and the reason that its executor is told by NOTIFY fw_batch. Closes the batches that are empty then.';
