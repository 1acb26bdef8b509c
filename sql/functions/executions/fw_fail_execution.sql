create or replace function public.fw_fail_execution(p_execution_id uuid, p_reason text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_ids uuid[];
  v_count integer;
  v_execution public.fw_workflow_executions;
  v_done boolean := false;
begin
  if p_reason is null or btrim(p_reason, E' \t\r\n') = '' then
    raise invalid_parameter_value using
      message = 'the reason is empty', detail = format('Execution %s was not changed.', p_execution_id),
      hint = 'It is kept with the execution and in its dead letter: say why it is to fail.';
  end if;
  -- Again when a claim came in between: what it runs is in a batch that was not locked then; or when children were born.
  for v_try in 1..10 loop
    v_ids := array[p_execution_id] || array(select public.fw_descendants(array[p_execution_id]));
    v_count := cardinality(v_ids) - 1;
    v_done := v_done or exists (
      select from public.fw_end_executions(
        v_ids, 'failed'::public.fw_execution_status || array_fill('cancelled'::public.fw_execution_status, array[v_count]),
        ('failed by hand: ' || btrim(p_reason, E' \t\r\n')) || array_fill('cancelled: the execution that invoked it was failed by hand'::text, array[v_count]),
        'RUNTIME'::text || array_fill(null::text, array[v_count]), true || array_fill(false, array[v_count]),
        null, array_fill(true, array[v_count + 1])) e
      where e.execution_id = p_execution_id);
    select * into v_execution from public.fw_workflow_executions e where e.id = p_execution_id;
    if not found then
      raise exception using errcode = 'FW003', message = format('there is no execution %s', coalesce(p_execution_id::text, 'NULL')),
        detail = 'Nothing was changed.', hint = 'select id from fw_list_executions() lists the newest executions.';
    end if;
    exit when (v_execution.status in ('completed', 'failed', 'timed_out', 'cancelled') or v_execution.compensating is not null)
      and (not v_done or not exists (
        select from public.fw_descendants(array[p_execution_id]) d join public.fw_workflow_executions e on e.id = d where e.compensating is null));
  end loop;
  return v_done;
end
$$;
comment on function public.fw_fail_execution(uuid, text) is
  'Makes a live execution, be it queued, waiting or running, fail for good, with this reason: what it has completed is compensated first, where there are compensations, then it is failed and dead-lettered, and fw_dlq_retry can put it back. The children that it waits for are cancelled in the same way; handlers that run are aborted. Returns false when it had finished, or begun to compensate, before.';
