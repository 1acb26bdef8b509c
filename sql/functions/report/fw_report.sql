create or replace function public.fw_report(
  p_executor_id uuid,
  p_execution_ids uuid[], p_batch_ids uuid[], p_done boolean[], p_outputs jsonb[],
  p_step_items integer[] default '{}', p_step_names text[] default '{}', p_step_indexes integer[] default '{}',
  p_step_outputs jsonb[] default '{}', p_step_durations_ms integer[] default '{}',
  p_step_asked text[] default '{}', p_step_asked_orders integer[] default '{}', p_step_seen_orders integer[] default '{}',
  p_step_failed boolean[] default '{}', p_step_errors jsonb[] default '{}', p_step_compensable boolean[] default '{}'
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
  v_attempts integer[];        -- by place in the arguments; NULL for an execution that may not be written
  v_organizations uuid[];
  v_done_items integer[];      -- places of the executions that are done
  v_done_messages bigint[];
  v_done integer;              -- executions; one may have several places
  v_refused integer;
  v_has_parents boolean;       -- somebody waits for one that is done
  v_closed uuid[];
  v_void text;
begin
  -- So small, and so few, that no limit is reached.
  if pg_column_size(p_outputs) > 150000 or pg_column_size(p_step_outputs) > 150000 or 63 <= any (p_step_indexes) then
    perform public.fw_check_report(p_execution_ids, p_outputs, p_step_items, p_step_names, p_step_indexes, p_step_outputs);
  end if;
  v_batches := public.fw_lock_leases(p_executor_id, p_batch_ids);
  -- While the batch is locked nobody else ends the run of its executions, so what is read here stays true.
  select array_agg(e.retry_count + 1 order by i.item), array_agg(e.organization_id order by i.item),
    array_agg(i.item) filter (where i.done and e.id is not null), array_agg(e.msg_id) filter (where i.done and e.id is not null),
    count(*) filter (where e.id is null), coalesce(bool_or(i.done and e.parent_id is not null), false)
  into v_attempts, v_organizations, v_done_items, v_done_messages, v_refused, v_has_parents
  from unnest(p_execution_ids, p_batch_ids, p_done) with ordinality as i (id, batch_id, done, item)
  left join public.fw_workflow_executions e
    on e.id = i.id and e.batch_id = i.batch_id and e.status = 'running' and i.batch_id = any (v_batches);

  if v_has_parents then
    v_void := public.fw_lock_with_parents(array(select p_execution_ids[item] from unnest(v_done_items) as item));
  end if;
  if v_done_items is not null then
    delete from pgmq.q_workflow_execution_queue q where q.msg_id = any (v_done_messages);
    update public.fw_workflow_executions e set status = 'completed', output = p_outputs[i.item], completed_at = public.fw_now()
    from unnest(v_done_items) as i (item)
    where e.id = p_execution_ids[i.item];
    get diagnostics v_done = row_count;
  end if;

  if cardinality(p_step_items) > 0 then
    v_void := public.fw_record_steps(
      p_execution_ids, v_organizations, v_attempts, p_step_items, p_step_names, p_step_indexes, p_step_outputs, p_step_durations_ms,
      p_step_asked, p_step_asked_orders, p_step_seen_orders, p_step_failed, p_step_errors, p_step_compensable);
  end if;

  if v_has_parents then
    v_void := public.fw_tell_parents(array(select p_execution_ids[item] from unnest(v_done_items) as item));
  end if;

  if v_done_items is not null then
    if cardinality(v_batches) = 1 then
      update public.fw_worker_runs r set open = r.open - v_done, succeeded = r.succeeded + v_done,
        finished_at = case when r.open = v_done then public.fw_now() end,
        finished_xid = case when r.open = v_done then pg_current_xact_id() end
      where r.id = v_batches[1]
      returning case when r.finished_at is not null then array[r.organization_id] end into v_closed;
    else
      with tally as (
        select p_batch_ids[i.item] as batch_id, count(distinct p_execution_ids[i.item]) as done from unnest(v_done_items) as i (item) group by 1
      ), closed as (
        update public.fw_worker_runs r set open = r.open - t.done, succeeded = r.succeeded + t.done,
          finished_at = case when r.open = t.done then public.fw_now() end,
          finished_xid = case when r.open = t.done then pg_current_xact_id() end
        from tally t where r.id = t.batch_id
        returning r.organization_id, r.finished_at
      )
      select array_agg(distinct c.organization_id) into v_closed from closed c where c.finished_at is not null;
    end if;
    if v_closed is not null then
      v_void := public.fw_release_semaphores(v_closed);
    end if;
  end if;

  if v_refused > 0 then
    return query select item from generate_subscripts(p_execution_ids, 1) as item where v_attempts[item] is null;
  end if;
end
$$;
comment on function public.fw_report(uuid, uuid[], uuid[], boolean[], jsonb[], integer[], text[], integer[], jsonb[], integer[], text[], integer[], integer[], boolean[], jsonb[], boolean[]) is
  'Reports for many executions at once: checkpoints of steps, and the outputs of executions that are done. The arrays of the first group go together, a place for each execution; p_step_items says to which place a step belongs (1-based). The arrays from p_step_asked on have a place for each step, or are shorter: what is missing is NULL. p_step_failed: the step has failed, with the error {"message", ...} that the handler has seen, and "again" in it when the step is to be run again. Returns the places that were refused because the batch has lost its lease: nothing was written for them.';
