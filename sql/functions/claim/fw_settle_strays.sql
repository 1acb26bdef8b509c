create or replace function public.fw_settle_strays(p_keys text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  c_most constant integer := 100;
  v_message_ids bigint[];
begin
  v_message_ids := array(
    select q.msg_id from pgmq.q_workflow_execution_queue q
    where (q.message ->> 'organization_id') collate "C" is null and q.vt <= public.fw_now()
    order by q.vt limit c_most
    for update of q skip locked);
  if cardinality(p_keys) > 0 then
    v_message_ids := v_message_ids || array(
      select q.msg_id from unnest(p_keys) as stray (key)
      cross join lateral (
        select q.msg_id from pgmq.q_workflow_execution_queue q
        where (q.message ->> 'organization_id') collate "C" = stray.key and q.vt <= public.fw_now()
        order by q.vt limit c_most
        for update of q skip locked) q
      limit c_most);
  end if;
  if cardinality(v_message_ids) = 0 then
    return;
  end if;
  -- An organization whose settings row was deleted while its work waited gets a new one, disabled; its work waits on.
  insert into public.fw_module_settings (organization_id)
  select distinct e.organization_id
  from unnest(v_message_ids) as id
  join pgmq.q_workflow_execution_queue q on q.msg_id = id
  join public.fw_workflow_executions e on e.id = public.fw_to_uuid(q.message ->> 'execution_id')
  where e.organization_id::text = q.message ->> 'organization_id'
  on conflict do nothing;
  perform public.fw_settle_messages(v_message_ids, public.fw_live_workflows());
end
$$;
comment on function public.fw_settle_strays(text[]) is
  'Internal: settles visible messages that name no organization, or one without a settings row, a hundred at a time.';
