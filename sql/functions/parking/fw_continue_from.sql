create or replace function public.fw_continue_from(p_execution_id uuid, p_step text) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_execution public.fw_workflow_executions;
  v_from integer;
  v_children uuid[];
  v_forgotten integer;
begin
  -- Children first, all at once: their locks come before those of their parent, which they take along.
  select array_agg(s.child_id) into v_children
  from public.fw_execution_steps s
  join public.fw_workflow_executions e on e.id = p_execution_id and e.status in ('queued', 'retry_pending', 'waiting') and e.compensating is null
  where s.execution_id = p_execution_id and s.status = 'waiting' and s.child_id is not null;
  if v_children is not null then
    v_children := v_children || array(select public.fw_descendants(v_children));
    perform public.fw_end_executions(
      v_children, array_fill('cancelled'::public.fw_execution_status, array[cardinality(v_children)]),
      array_fill('cancelled: the execution that invoked it goes on from an earlier step'::text, array[cardinality(v_children)]),
      array_fill(null::text, array[cardinality(v_children)]), array_fill(false, array[cardinality(v_children)]));
  end if;
  perform from public.fw_lock_executions(array[p_execution_id], false);
  select * into v_execution from public.fw_workflow_executions e where e.id = p_execution_id;
  if not found then
    perform public.fw_refuse_unknown_execution(p_execution_id);
  end if;
  if v_execution.status not in ('queued', 'retry_pending', 'waiting') or v_execution.compensating is not null then
    raise exception using errcode = 'FW004',
      message = format('execution %s is %s, so it cannot go on from another step', p_execution_id,
        case when v_execution.compensating is not null then 'being undone' else v_execution.status::text end),
      detail = 'Nothing was changed.',
      hint = case when v_execution.status = 'running' then 'An executor runs it just now: try again in a moment.'
        when v_execution.status in ('failed', 'timed_out') then 'fw_dlq_retry starts it again.'
        else 'Only what waits for its next run can be changed.' end;
  end if;
  select coalesce(greatest(s.seen_order, -2 - s.seen_order), s.step_index) into v_from
  from public.fw_execution_steps s where s.execution_id = p_execution_id and s.node_id = p_step;
  if not found then
    raise exception using errcode = 'FW006',
      message = format('execution %s has no step %L', p_execution_id, p_step),
      detail = 'Nothing was changed.',
      hint = format('select node_id, status from fw_execution_steps where execution_id = %L order by step_index lists its steps.', p_execution_id);
  end if;
  -- The step itself, what was seen after it, and what was asked for after it.
  with gone as (
    delete from public.fw_execution_steps s
    where s.execution_id = p_execution_id
      and (s.node_id = p_step or coalesce(s.asked_order, s.step_index) > v_from or coalesce(greatest(s.seen_order, -2 - s.seen_order), s.step_index) >= v_from
        or s.status = 'waiting')
    returning s.node_id
  )
  select count(*) into v_forgotten from gone;
  update public.fw_workflow_executions e set
    status = case when e.retry_count > 0 then public.fw_execution_status 'retry_pending' else 'queued' end,
    next_retry_at = case when e.retry_count > 0 then public.fw_now() end, not_before = null
  where e.id = p_execution_id;
  update pgmq.q_workflow_execution_queue q set vt = public.fw_now() where q.msg_id = v_execution.msg_id;
  perform from public.fw_send_missing_messages(array[p_execution_id]);
  delete from public.fw_parked_executions k where k.execution_id = p_execution_id;
  perform public.fw_wake_executors(v_execution.organization_id);
  return v_forgotten;
end
$$;
comment on function public.fw_continue_from(uuid, text) is
  'Lets an execution that waits for its next run go on from a step, as when its code was changed: the step, and all that was asked for or seen after it, is forgotten and happens again; children that still run for it are cancelled. What came before stays. Returns how many steps were forgotten.';
