create or replace function public.fw_begin_waits(
  p_executor_id uuid, p_execution_ids uuid[], p_batch_ids uuid[],
  p_wait_items integer[], p_wait_names text[], p_wait_indexes integer[], p_wait_ms bigint[], p_wait_until timestamptz[],
  p_wait_keys text[], p_wait_workflows text[], p_wait_inputs jsonb[], p_wait_groups text[], p_wait_limits integer[],
  p_wait_asked text[], p_wait_asked_orders integer[]
) returns setof integer
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '500ms'
as $$
declare
  v_batches uuid[];
  v_ids uuid[];         -- by place in the arguments; NULL for what may not be written
begin
  v_batches := public.fw_lock_leases(p_executor_id, p_batch_ids);
  select array_agg(e.id order by i.item) into v_ids
  from unnest(p_execution_ids, p_batch_ids) with ordinality as i (id, batch_id, item)
  -- One by one: a join could be planned to begin with all executions that there are.
  left join lateral (
    select x.id from public.fw_workflow_executions x
    where x.id = i.id and x.batch_id = i.batch_id and x.status = 'running' and i.batch_id = any (v_batches) limit 1) e on true;
  if array_remove(v_ids, null) <> '{}' then
    perform public.fw_record_waits(v_ids, p_wait_items, p_wait_names, p_wait_indexes, p_wait_ms, p_wait_until, p_wait_keys, p_wait_workflows,
      p_wait_inputs, p_wait_groups, p_wait_limits, p_wait_asked, p_wait_asked_orders);
  end if;
  return query select item from generate_subscripts(p_execution_ids, 1) as item where v_ids[item] is null;
end
$$;
comment on function public.fw_begin_waits(uuid, uuid[], uuid[], integer[], text[], integer[], bigint[], timestamptz[], text[], text[], jsonb[], text[], integer[], text[], integer[]) is
  'Begins waits of executions that go on running, because steps of them are still under way: a sleep counts from now, a child starts, an event is received. The arguments are those of fw_suspend, which follows when the execution only waits. Returns the places (1-based) that were refused because the batch has lost its lease.';
