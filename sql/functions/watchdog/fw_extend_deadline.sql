create or replace function public.fw_extend_deadline(p_execution_id uuid, p_minutes integer, p_reason text) returns timestamptz
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_execution public.fw_workflow_executions;
begin
  if p_minutes is null or p_minutes not between 1 and 1440 then
    raise invalid_parameter_value using
      message = format('p_minutes is %s, outside 1 to 1440', coalesce(p_minutes::text, 'NULL')),
      detail = format('The deadline of execution %s was not changed.', p_execution_id),
      hint = 'Pass how many minutes it may take longer.';
  end if;
  if p_reason is null or length(btrim(p_reason, E' \t\r\n')) < 5 then
    raise invalid_parameter_value using
      message = format('the reason %s has fewer than 5 characters', coalesce(quote_literal(p_reason), 'NULL')),
      detail = format('The deadline of execution %s was not changed.', p_execution_id),
      hint = 'It is kept in fw_notices: say why the execution may take longer.';
  end if;
  select * into v_execution from public.fw_workflow_executions e where e.id = p_execution_id for no key update;
  if not found then
    perform public.fw_refuse_unknown_execution(p_execution_id);
  end if;
  if v_execution.status in ('completed', 'failed', 'timed_out', 'cancelled') or v_execution.deadline_at is null then
    raise exception using errcode = 'FW004',
      message = format('execution %s is %s and has no deadline to extend', p_execution_id, v_execution.status),
      hint = case when v_execution.status in ('failed', 'timed_out') then 'fw_dlq_retry starts it again, with a new deadline.'
        when v_execution.status in ('completed', 'cancelled') then 'It has finished: there is nothing to wait for.'
        when v_execution.deadline_left is not null then format(
          'Its deadline stands still while it waits, with %s left, and is set again when it goes on: extend it then.',
          date_trunc('second', v_execution.deadline_left))
        else 'A deadline is set when the first attempt starts.' end;
  end if;
  update public.fw_workflow_executions e set deadline_at = e.deadline_at + make_interval(mins => p_minutes), deadline_warned_at = null
  where e.id = p_execution_id
  returning * into v_execution;
  perform public.fw_give_notices('deadline_extended', array[v_execution.organization_id], array[p_execution_id],
    array[format('the deadline was extended by %s minutes: %s', p_minutes, left(btrim(p_reason), (select c.error_limit from public.fw_worker_config c)))]);
  return v_execution.deadline_at;
end
$$;
comment on function public.fw_extend_deadline(uuid, integer, text) is
  'Moves the deadline of a live execution by 1 to 1440 minutes; the reason, of at least 5 characters, is kept in fw_notices, cut to error_limit of fw_worker_config. A warning that was given is given again when the new deadline is near. Returns the new deadline.';
