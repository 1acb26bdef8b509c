create or replace function public.fw_record_compensation(p_executor_id uuid, p_execution_id uuid, p_batch_id uuid, p_name text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '500ms'
as $$
begin
  if p_name is null then
    raise null_value_not_allowed using
      message = 'p_name must not be NULL',
      detail = format('No compensation of execution %s was recorded.', p_execution_id),
      hint = 'Pass the name of the step that was compensated.';
  end if;
  if cardinality(public.fw_lock_leases(p_executor_id, array[p_batch_id])) = 0
    or not exists (
      select from public.fw_workflow_executions e
      where e.id = p_execution_id and e.batch_id = p_batch_id and e.status = 'running' and e.compensating is not null)
  then
    return false;
  end if;
  update public.fw_execution_steps s set status = 'compensated'
  where s.execution_id = p_execution_id and s.node_id = p_name and s.status in ('completed', 'compensated');
  return found;
end
$$;
comment on function public.fw_record_compensation(uuid, uuid, uuid, text) is
  'Records that a completed step was compensated. Returns false when the batch has lost its lease.';
