create or replace function public.fw_set_aside(p_message_id bigint, p_sqlstate text, p_reason text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  c_hidden constant interval := '1 hour';
  v_reason constant text := format('set aside, because the database could not work with it (%s): %s', p_sqlstate, left(p_reason, 1000));
  v_id uuid;
  v_organization uuid;
  v_is_undone boolean;
begin
  select e.id, e.organization_id, e.compensating is not null into v_id, v_organization, v_is_undone
  from pgmq.q_workflow_execution_queue q
  join public.fw_workflow_executions e on e.id = public.fw_to_uuid(q.message ->> 'execution_id') and e.msg_id = q.msg_id
  where q.msg_id = p_message_id and pg_column_size(q.message) <= 32768;
  begin
    if v_id is not null then
      perform public.fw_end_executions(array[v_id], array['failed'::public.fw_execution_status], array[v_reason], array['VALIDATION'], array[true],
        null, array[not v_is_undone]);
    else
      -- The message itself is kept as it is in the archive of the queue.
      insert into pgmq.q_workflow_dlq (vt, message)
      values (public.fw_now(), jsonb_build_object('error', v_reason, 'error_category', 'VALIDATION', 'failed_at', public.fw_now(), 'rejected', true,
        'archived_msg_id', p_message_id));
      perform pgmq.archive('workflow_execution_queue', p_message_id);
    end if;
  exception when data_exception or integrity_constraint_violation or program_limit_exceeded or out_of_memory or internal_error or raise_exception then
    -- Not even its end can be written: it holds up nobody for an hour, and is tried again then.
    update pgmq.q_workflow_execution_queue q set vt = public.fw_now() + c_hidden where q.msg_id = p_message_id;
  end;
  perform public.fw_give_notices('set_aside', array[v_organization], array[v_id], array[v_reason]);
end
$$;
comment on function public.fw_set_aside(bigint, text, text) is
  'Internal: takes a message, which the caller has locked, out of the way when work with it fails: its execution fails and is dead-lettered with the reason, once its compensations have run; a message without an execution goes to the archive of the queue, and a dead letter says so. Where not even that can be written it is hidden for an hour. Gives a notice of the kind set_aside.';
