create or replace function public.fw_checkpoint(
  p_executor_id uuid, p_execution_id uuid, p_batch_id uuid, p_name text, p_step_index integer, p_output jsonb, p_duration_ms integer,
  p_asked text default null, p_asked_order integer default null, p_seen_order integer default null
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_execution public.fw_workflow_executions;
begin
  if p_name is null or p_step_index is null then
    raise null_value_not_allowed using
      message = format('%s must not be NULL', case when p_name is null then 'p_name' else 'p_step_index' end),
      detail = format('No step of execution %s was recorded.', p_execution_id),
      hint = 'Pass the name of the step, and its place among the steps of the execution, which counts from 0.';
  end if;
  if octet_length(p_name) > 2000 then
    raise program_limit_exceeded using
      message = format('the name of a step has %s bytes, more than 2000', octet_length(p_name)),
      detail = format('No step of execution %s was recorded.', p_execution_id),
      hint = 'Give the step a shorter name.';
  end if;
  if pg_column_size(p_output) > 150000 or p_step_index >= 63 then
    perform public.fw_check_report(array[p_execution_id], null, array[1], array[p_name], array[p_step_index], array[p_output]);
  end if;
  if cardinality(public.fw_lock_leases(p_executor_id, array[p_batch_id])) = 1 then
    select * into v_execution from public.fw_workflow_executions e
    where e.id = p_execution_id and e.batch_id = p_batch_id and e.status = 'running';
  end if;
  if v_execution.id is null then
    raise exception using errcode = 'FW001',
      message = format('batch %s has lost its lease on execution %s', p_batch_id, p_execution_id),
      detail = format('Step %L was not recorded; its transaction is rolled back.', p_name),
      hint = 'Stop this run: another executor goes on with the execution.';
  end if;
  -- As it failed in an earlier attempt.
  delete from public.fw_execution_steps s
  where s.execution_id = p_execution_id and s.node_id = p_name and s.status = 'failed' and s.child_id is null;
  insert into public.fw_execution_steps
    (execution_id, node_id, organization_id, step_index, attempt_number, status, output_data, started_at, completed_at, duration_ms,
     asked, asked_order, seen_order)
  values (p_execution_id, p_name, v_execution.organization_id, p_step_index, v_execution.retry_count + 1, 'completed', p_output,
    public.fw_now() - make_interval(secs => coalesce(p_duration_ms, 0) / 1000.0), public.fw_now(), p_duration_ms, p_asked, p_asked_order, p_seen_order)
  on conflict (execution_id, node_id) do nothing;
  if not found then
    raise exception using errcode = 'FW004',
      message = format('execution %s has recorded step %L already', p_execution_id, p_name),
      detail = 'What was recorded stays; this transaction is rolled back.',
      hint = 'Read what was recorded (fw_list_steps) instead of doing the step again.';
  end if;
end
$$;
comment on function public.fw_checkpoint(uuid, uuid, uuid, text, integer, jsonb, integer, text, integer, integer) is
  'Records one completed step inside the caller''s own transaction, so that its writes and the checkpoint happen together or not at all. Raises FW001 when the batch has lost its lease.';
