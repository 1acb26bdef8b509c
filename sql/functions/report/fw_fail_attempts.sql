create or replace function public.fw_fail_attempts(
  p_execution_ids uuid[], p_errors text[], p_categories text[], p_permanent boolean[], p_delays_ms bigint[]
) returns table (execution_id uuid, batch_id uuid, outcome text, retry_at timestamptz)
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
  c_compensations constant integer := 5;
  v_dead uuid[];
  v_dead_errors text[];
  v_dead_categories text[];
  v_retry uuid[];
  v_retry_errors text[];
  v_retry_categories text[];
  v_retry_at timestamptz[];
  v_cancelled uuid[];
begin
  with decided as (
    select e.id, e.msg_id, f.category,
      case when e.compensating is not null and not coalesce(f.permanent, false)
        then (e.compensating ->> 'error') || '; its compensation did not finish: ' || f.error else f.error end as error,
      -- Compensations have some attempts of their own.
      coalesce(f.permanent, false) or e.retry_count + 1 >= coalesce(w.max_attempts, 5) + case when e.compensating is null then 0 else c_compensations end as is_dead,
      public.fw_now() + coalesce(make_interval(secs => f.delay_ms / 1000.0), public.fw_backoff(e.workflow_name, e.retry_count + 1)) as retry_at
    from unnest(p_execution_ids, p_errors, p_categories, p_permanent, p_delays_ms) as f (id, error, category, permanent, delay_ms)
    join public.fw_workflow_executions e on e.id = f.id
    left join public.fw_workflows w on w.name = e.workflow_name
  )
  select array_agg(d.id order by d.msg_id) filter (where d.is_dead), array_agg(d.error order by d.msg_id) filter (where d.is_dead),
    array_agg(d.category order by d.msg_id) filter (where d.is_dead),
    array_agg(d.id order by d.msg_id) filter (where not d.is_dead), array_agg(d.error order by d.msg_id) filter (where not d.is_dead),
    array_agg(d.category order by d.msg_id) filter (where not d.is_dead),
    array_agg(d.retry_at order by d.msg_id) filter (where not d.is_dead)
  into v_dead, v_dead_errors, v_dead_categories, v_retry, v_retry_errors, v_retry_categories, v_retry_at
  from decided d;

  if v_dead is not null then
    -- All messages at once, in one order; those that are tried again come with them.
    perform public.fw_lock_with_parents(v_dead || v_retry);
  end if;
  if v_retry is not null then
    update pgmq.q_workflow_execution_queue q set vt = f.retry_at,
      message = jsonb_set(q.message, '{attempt}', to_jsonb(e.retry_count + 2))
    from unnest(v_retry, v_retry_at) as f (id, retry_at)
    join public.fw_workflow_executions e on e.id = f.id
    where q.msg_id = e.msg_id;
    return query
      update public.fw_workflow_executions e set
        status = 'retry_pending', retry_count = e.retry_count + 1, next_retry_at = f.retry_at,
        last_error = f.error, error_category = f.category
      from unnest(v_retry, v_retry_errors, v_retry_categories, v_retry_at) as f (id, error, category, retry_at)
      where e.id = f.id
      returning e.id, e.batch_id, e.status::text, e.next_retry_at;
  end if;
  if v_dead is not null then
    return query select d.execution_id, d.batch_id, 'failed'::text, null::timestamptz
    from public.fw_dead_letter(v_dead, v_dead_errors, v_dead_categories) d;
    -- Those that were cancelled have compensated, and that is that.
    v_cancelled := array(select e.id from public.fw_workflow_executions e where e.id = any (v_dead) and e.compensating ->> 'status' = 'cancelled');
    if cardinality(v_cancelled) > 0 then
      delete from pgmq.q_workflow_dlq d using public.fw_workflow_executions e where e.id = any (v_cancelled) and d.msg_id = e.dlq_msg_id;
      update public.fw_workflow_executions e set status = 'cancelled', discarded_at = null where e.id = any (v_cancelled);
    end if;
    perform public.fw_tell_parents(v_dead);
  end if;
end
$$;
comment on function public.fw_fail_attempts(uuid[], text[], text[], boolean[], bigint[]) is
  'Internal: ends a failed attempt of each of these running executions, whose batches the caller has locked: retry_pending with backoff (or the given delay), or, when it was the last attempt or the error is permanent, failed and dead-lettered.';
