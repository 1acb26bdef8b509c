create or replace function public.fw_report_failures(
  p_executor_id uuid, p_execution_ids uuid[], p_batch_ids uuid[],
  p_errors text[], p_categories text[], p_permanent boolean[], p_delays_ms bigint[] default null,
  p_steps text[] default null, p_stacks text[] default null
) returns table (place integer, outcome text, retry_in_ms bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '500ms'
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_batches uuid[];
  v_ids uuid[];
  v_items integer[];
  v_attempts integer[];
  v_closed uuid[];
  v_errors text[];
  v_longest integer;
begin
  select c.error_limit into v_longest from public.fw_worker_config c;
  -- An executor has ended what it has cut with one more character, which says so.
  v_errors := array(select left(coalesce(p_errors[place], 'the executor gave no error'), v_longest + 1) from generate_subscripts(p_execution_ids, 1) as place order by place);
  v_batches := public.fw_lock_leases(p_executor_id, p_batch_ids);
  select array_agg(n.id), array_agg(n.item), array_agg(n.attempt) into v_ids, v_items, v_attempts
  from (
    select distinct on (e.id) e.id, i.item, e.retry_count + 1 as attempt
    from unnest(p_execution_ids, p_batch_ids) with ordinality as i (id, batch_id, item)
    -- One by one: a join could be planned to begin with all executions that there are.
    cross join lateral (
      select x.id, x.retry_count from public.fw_workflow_executions x where x.id = i.id and x.batch_id = i.batch_id and x.status = 'running' limit 1) e
    where i.batch_id = any (v_batches)
    order by e.id, i.item
  ) n;

  if v_ids is not null then
    return query
      with ended as materialized (
        select f.* from public.fw_fail_attempts(v_ids,
          array(select v_errors[item] from unnest(v_items) as item), array(select left(p_categories[item], 200) from unnest(v_items) as item),
          array(select p_permanent[item] from unnest(v_items) as item), array(select p_delays_ms[item] from unnest(v_items) as item)) f
      ), tally as (
        select e.batch_id, count(*) as total, count(*) filter (where e.outcome = 'failed') as dead from ended e group by e.batch_id
      ), counted as (
        update public.fw_worker_runs r set open = r.open - t.total, failed = r.failed + t.total - t.dead,
          dead_lettered = r.dead_lettered + t.dead, finished_at = case when r.open = t.total then public.fw_now() end,
          finished_xid = case when r.open = t.total then pg_current_xact_id() end
        from tally t where r.id = t.batch_id
      )
      select v_items[array_position(v_ids, e.execution_id)], e.outcome, ceil(extract(epoch from e.retry_at - public.fw_now()) * 1000)::bigint from ended e;
    perform public.fw_record_failed_attempts(v_ids, v_attempts,
      array(select v_errors[item] from unnest(v_items) as item), array(select left(p_categories[item], 200) from unnest(v_items) as item),
      array(select p_permanent[item] from unnest(v_items) as item), array(select p_steps[item] from unnest(v_items) as item),
      array(select p_stacks[item] from unnest(v_items) as item));
    v_closed := array(select distinct r.organization_id from public.fw_worker_runs r where r.id = any (v_batches) and r.finished_at is not null);
    if cardinality(v_closed) > 0 then
      perform public.fw_release_semaphores(v_closed);
    end if;
  end if;
  return query select place, 'fenced'::text, null::bigint from generate_subscripts(p_execution_ids, 1) as place
    where place <> all (coalesce(v_items, '{}'));
end
$$;
comment on function public.fw_report_failures(uuid, uuid[], uuid[], text[], text[], boolean[], bigint[], text[], text[]) is
  'Reports failed attempts, a place in each array for each execution: error, category, whether it is permanent, and optionally the delay in milliseconds before the next attempt instead of the backoff, the step that the error came from, and its stack. Returns what became of each, by its place (1-based): retry_pending (and in how many milliseconds), failed (dead-lettered), or fenced (refused: the batch has lost its lease; nothing was written). The error is cut to error_limit of fw_worker_config.';
