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
  c_compensations constant integer := 5;   -- attempts of the compensations, which have some of their own
  v_over uuid[];
  v_over_errors text[];
  v_over_categories text[];
  v_over_compensating jsonb[];
  v_retry uuid[];
  v_retry_errors text[];
  v_retry_categories text[];
  v_retry_at timestamptz[];
  v_turned uuid[];          -- those of v_retry that have failed for good, and are undone first
  v_compensating jsonb[];
begin
  with decided as (
    select e.id, e.msg_id, e.retry_count, e.compensating, f.error, f.category,
      coalesce(f.permanent, false) as is_permanent,
      coalesce(f.permanent, false) or case when e.compensating is null then e.retry_count + 1 >= coalesce(w.max_attempts, 5)
        else coalesce((e.compensating ->> 'failed_attempts')::integer, 0) + 1 >= c_compensations end as is_last,
      public.fw_now() + coalesce(public.fw_milliseconds(f.delay_ms), public.fw_backoff(e.workflow_name,
        case when e.compensating is null then e.retry_count else coalesce((e.compensating ->> 'failed_attempts')::integer, 0) end + 1)) as retry_at
    from unnest(p_execution_ids, p_errors, p_categories, p_permanent, p_delays_ms) as f (id, error, category, permanent, delay_ms)
    join public.fw_workflow_executions e on e.id = f.id
    left join public.fw_workflows w on w.name = e.workflow_name
  ), ruled as (
    select d.id, d.msg_id, d.retry_count, d.compensating, d.is_last and not t.is_turned as is_over, t.is_turned,
      case when t.is_turned then public.fw_now() else d.retry_at end as retry_at,
      case when d.compensating is null or d.is_permanent then d.error
        else (d.compensating ->> 'error') || '; its compensation did not finish: ' || d.error end as error,
      case when d.compensating is null then d.category else d.compensating ->> 'category' end as category
    from decided d
    cross join lateral (
      select d.is_last and d.compensating is null and exists (
        select from public.fw_execution_steps s where s.execution_id = any (array[d.id]) and s.is_compensable and s.status = 'completed') as is_turned
    ) t
  )
  select array_agg(r.id order by r.msg_id) filter (where r.is_over), array_agg(r.error order by r.msg_id) filter (where r.is_over),
    array_agg(r.category order by r.msg_id) filter (where r.is_over), array_agg(r.compensating order by r.msg_id) filter (where r.is_over),
    array_agg(r.id order by r.msg_id) filter (where not r.is_over), array_agg(r.error order by r.msg_id) filter (where not r.is_over),
    array_agg(r.category order by r.msg_id) filter (where not r.is_over), array_agg(r.retry_at order by r.msg_id) filter (where not r.is_over),
    array_agg(r.id order by r.msg_id) filter (where r.is_turned), array_agg(jsonb_build_object('status', 'failed', 'error', r.error,
      'category', r.category, 'dead_letter', true, 'attempt', r.retry_count + 1) order by r.msg_id) filter (where r.is_turned)
  into v_over, v_over_errors, v_over_categories, v_over_compensating, v_retry, v_retry_errors, v_retry_categories, v_retry_at,
    v_turned, v_compensating
  from ruled r;

  if v_over is not null then
    -- All messages at once, in one order; those that are tried again come with them.
    perform public.fw_lock_with_parents(v_over || v_retry);
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
        last_error = f.error, error_category = f.category,
        compensating = e.compensating || jsonb_build_object('failed_attempts', coalesce((e.compensating ->> 'failed_attempts')::integer, 0) + 1)
      from unnest(v_retry, v_retry_errors, v_retry_categories, v_retry_at) as f (id, error, category, retry_at)
      where e.id = f.id
      returning e.id, e.batch_id, e.status::text, e.next_retry_at;
    -- To its executor it is an attempt that is tried again: whoever claims it next is told to compensate.
    if v_turned is not null then
      perform public.fw_turn_back(v_turned, v_compensating);
    end if;
  end if;
  if v_over is not null then
    return query select o.execution_id, o.batch_id, 'failed'::text, null::timestamptz
    from public.fw_finish_failed(v_over, v_over_errors, v_over_categories, v_over_compensating) o;
  end if;
end
$$;
comment on function public.fw_fail_attempts(uuid[], text[], text[], boolean[], bigint[]) is
  'Internal: ends a failed attempt of each of these running executions, whose batches the caller has locked: retry_pending with backoff (or the given delay), or, when it was the last attempt or the error is permanent, failed and dead-lettered. One that has completed steps with compensations is turned back first: it is retry_pending at once, its next run only compensates, and with the end of that run it ends as was decided.';
