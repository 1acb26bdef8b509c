create or replace function public.fw_begin_compensation(
  p_executor_id uuid, p_execution_id uuid, p_batch_id uuid, p_error text, p_category text
) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if cardinality(public.fw_lock_leases(p_executor_id, array[p_batch_id])) = 0 then
    return false;
  end if;
  update public.fw_workflow_executions e set
    compensating = coalesce(e.compensating, jsonb_build_object('status', 'failed', 'error', coalesce(left(p_error, (select c.error_limit from public.fw_worker_config c) + 1), 'the executor gave no error'), 'category', left(p_category, 200)))
  where e.id = p_execution_id and e.batch_id = p_batch_id and e.status = 'running';
  return found;
end
$$;
comment on function public.fw_begin_compensation(uuid, uuid, uuid, text, text) is
  'Says that a running execution has failed for good with this error and that the compensations of its steps begin: from now on every run of it only compensates. Returns false when the batch has lost its lease.';
