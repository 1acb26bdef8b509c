create or replace function public.fw_fail_execution(p_execution_id uuid, p_reason text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  c_most_tries constant integer := 100;
  c_again constant text := 'FW009';
  v_reason constant text := left(btrim(p_reason, E' \t\r\n'), (select c.error_limit from public.fw_worker_config c));
  v_ids uuid[];
  v_count integer;
  v_execution public.fw_workflow_executions;
  v_ended boolean;
begin
  if coalesce(v_reason, '') = '' then
    raise invalid_parameter_value using
      message = 'the reason is empty', detail = format('Execution %s was not changed.', p_execution_id),
      hint = 'It is kept with the execution and in its dead letter: say why it is to fail.';
  end if;
  for v_try in 1..c_most_tries loop
    -- All or nothing, as in fw_cancel_execution: where something was claimed, or born, before the locks were held, these are given back
    -- with this block and taken again.
    begin
      v_ids := array[p_execution_id] || array(select public.fw_descendants(array[p_execution_id]));
      v_count := cardinality(v_ids) - 1;
      v_ended := exists (
        select from public.fw_end_executions(
          v_ids, array['failed'::public.fw_execution_status] || array_fill('cancelled'::public.fw_execution_status, array[v_count]),
          array['failed by hand: ' || v_reason] || array_fill('cancelled: the execution that invoked it was failed by hand'::text, array[v_count]),
          array['RUNTIME'] || array_fill(null::text, array[v_count]), array[true] || array_fill(false, array[v_count]),
          null, array_fill(true, array[v_count + 1])) e
        where e.execution_id = p_execution_id);
      select * into v_execution from public.fw_workflow_executions e where e.id = p_execution_id;
      if not found then
        perform public.fw_refuse_unknown_execution(p_execution_id);
      end if;
      if v_ended then
        if exists (
          select from public.fw_descendants(array[p_execution_id]) d join public.fw_workflow_executions e on e.id = d
          where e.compensating is null)
        then
          raise exception using errcode = c_again;
        end if;
      elsif v_execution.status in ('queued', 'running', 'waiting', 'retry_pending') and v_execution.compensating is null
      then
        raise exception using errcode = c_again;
      end if;
      return v_ended;
    exception when sqlstate 'FW009' then
      perform pg_sleep(0.01 * random());
    end;
  end loop;
  raise lock_not_available using
    message = format('execution %s could not be failed', p_execution_id),
    detail = 'Whenever its locks were held, others had claimed or invoked more of what works for it. Nothing was changed.',
    hint = 'Try again.';
end
$$;
comment on function public.fw_fail_execution(uuid, text) is
  'Makes a live execution, be it queued, waiting, parked or running, fail for good, with this reason (cut to error_limit of fw_worker_config): what it has completed is compensated first, where there are compensations, then it is failed and dead-lettered, and fw_dlq_retry can put it back. The children that it waits for are cancelled in the same way; handlers that run are aborted. Returns false when it had finished, or begun to compensate, before.';
