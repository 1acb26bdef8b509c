create or replace function public.fw_dlq_retry(p_msg_id bigint) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_message jsonb;
  v_execution public.fw_workflow_executions;
  v_msg_id bigint;
begin
  select d.message into v_message from pgmq.q_workflow_dlq d where d.msg_id = p_msg_id for update;
  if not found then
    raise exception using errcode = 'FW003',
      message = format('there is no dead letter %s', coalesce(p_msg_id::text, 'NULL')),
      detail = 'It was retried or purged already, or never was. Nothing was changed.',
      hint = 'select msg_id, error from fw_dlq lists the dead letters.';
  end if;
  select * into v_execution from public.fw_workflow_executions e
  where e.id = public.fw_to_uuid(v_message ->> 'execution_id') and e.dlq_msg_id = p_msg_id
  for no key update;
  if found and v_execution.status not in ('failed', 'timed_out') then
    raise exception using errcode = 'FW004',
      message = format('execution %s of dead letter %s is %s, so there is nothing to retry', v_execution.id, p_msg_id, v_execution.status),
      detail = 'It was put back on the queue by hand. Nothing was changed.',
      hint = format('Discard the dead letter: select pgmq.delete(''workflow_dlq'', %s)', p_msg_id);
  end if;

  -- What was no object was wrapped when it was rejected. What somebody has sent here as a scalar or a list goes as it is.
  v_message := case
    when jsonb_typeof(v_message) is distinct from 'object' then v_message
    when v_message ? 'original' and v_message - array['original', 'error', 'error_category', 'failed_at', 'rejected'] = '{}'
      then v_message -> 'original'
    else (case when v_execution.id is null then v_message else v_message - 'step' - 'executor' end
      - 'error' - 'error_category' - 'failed_at' - 'rejected' - 'compensated' - 'not_compensated') || '{"attempt": 1}' end;
  insert into pgmq.q_workflow_execution_queue (vt, message) values (public.fw_now(), v_message) returning msg_id into v_msg_id;
  delete from pgmq.q_workflow_dlq d where d.msg_id = p_msg_id;
  if v_execution.id is not null then
    update public.fw_workflow_executions e set status = 'queued', retry_count = 0, msg_id = v_msg_id, dlq_msg_id = null,
      discarded_at = null, completed_at = null, next_retry_at = null, last_error = null, error_category = null,
      deadline_at = null, deadline_left = null, deadline_warned_at = null, compensating = null, not_before = null
    where e.id = v_execution.id;
    perform public.fw_forget_ended_steps(array[v_execution.id]);
    perform public.fw_wake_executors(v_execution.organization_id);
  end if;
  return v_msg_id;
end
$$;
comment on function public.fw_dlq_retry(bigint) is
  'Puts a dead letter back on the main queue as attempt 1 and revives its execution, in one transaction; completed steps do not run again. Returns the message id in workflow_execution_queue.';
