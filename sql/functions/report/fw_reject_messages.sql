create or replace function public.fw_reject_messages(p_message_ids bigint[], p_reasons text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
as $$
declare
  c_largest constant integer := 32768;
  v_large bigint[];
begin
  -- What is large is not copied: it is kept as it is in the archive of the queue.
  with large as (
    select r.msg_id, r.reason from unnest(p_message_ids, p_reasons) as r (msg_id, reason)
    join pgmq.q_workflow_execution_queue q on q.msg_id = r.msg_id
    where pg_column_size(q.message) > c_largest
  ), dead as (
    insert into pgmq.q_workflow_dlq (vt, message)
    select public.fw_now(), jsonb_build_object('error', l.reason, 'error_category', 'VALIDATION', 'failed_at', public.fw_now(), 'rejected', true,
      'archived_msg_id', l.msg_id)
    from large l
  )
  select array_agg(l.msg_id) into v_large from large l;
  if v_large is not null then
    perform pgmq.archive('workflow_execution_queue', v_large);
  end if;
  with gone as (
    delete from pgmq.q_workflow_execution_queue q
    using unnest(p_message_ids, p_reasons) as r (msg_id, reason)
    where q.msg_id = r.msg_id
    returning q.message, r.reason
  )
  insert into pgmq.q_workflow_dlq (vt, message)
  select public.fw_now(), case when jsonb_typeof(g.message) = 'object' then g.message else jsonb_build_object('original', g.message) end
    || jsonb_build_object('error', g.reason, 'error_category', 'VALIDATION', 'failed_at', public.fw_now(), 'rejected', true)
  from gone g;
end
$$;
comment on function public.fw_reject_messages(bigint[], text[]) is
  'Internal: moves messages that no execution can run from to workflow_dlq, each with its reason and marked as rejected. A large one goes to the archive of the queue instead, and its dead letter has only the reason and archived_msg_id.';
