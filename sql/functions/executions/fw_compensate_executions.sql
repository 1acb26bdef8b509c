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
  v_ids uuid[];
  v_running uuid[];          -- of these: executions, and the batch of each
  v_running_batches uuid[];
begin
  select array_agg(l.execution_id), array_agg(l.execution_id) filter (where l.status = 'running'),
    array_agg(l.batch_id) filter (where l.status = 'running')
  into v_ids, v_running, v_running_batches
  from public.fw_lock_executions(p_execution_ids, false, true) l
  where not l.is_compensating;
  if v_ids is null then
    return;
  end if;
  perform public.fw_turn_back(v_ids, array(
    select jsonb_build_object('status', 'cancelled', 'error', p_errors[array_position(p_execution_ids, id)], 'category', null)
    from unnest(v_ids) as id));
  if v_running is not null then
    perform public.fw_leave_batches(v_running, v_running_batches, array_fill(false, array[cardinality(v_running)]),
      array(select p_errors[array_position(p_execution_ids, id)] from unnest(v_running) as id));
  end if;
  return query select id from unnest(v_ids) as id;
end
$$;
comment on function public.fw_compensate_executions(uuid[], text[]) is
  'Internal: turns live executions back: their next run compensates what they have completed, and then they end as cancelled. Handlers that run are aborted. Returns which.';
