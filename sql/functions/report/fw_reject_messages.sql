create or replace function public.fw_reject_messages(p_message_ids bigint[], p_reasons text[]) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  with gone as (
    delete from pgmq.q_workflow_execution_queue q
    using unnest(p_message_ids, p_reasons) as r (msg_id, reason)
    where q.msg_id = r.msg_id
    returning q.message, r.reason
  )
  insert into pgmq.q_workflow_dlq (vt, message)
  select public.fw_now(), case when jsonb_typeof(g.message) = 'object' then g.message else jsonb_build_object('original', g.message) end
    || jsonb_build_object('error', g.reason, 'error_category', 'VALIDATION', 'failed_at', public.fw_now(), 'rejected', true)
  from gone g
$$;
comment on function public.fw_reject_messages(bigint[], text[]) is
  'Internal: moves messages that no execution can run from to workflow_dlq, each with its reason and marked as rejected.';
