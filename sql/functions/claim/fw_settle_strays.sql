create or replace function public.fw_settle_strays(p_below text, p_most_keys integer default 50, p_most integer default 100) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_strays text[];
  v_cursor text := '';
  v_key text;
  v_message_ids bigint[];
begin
  -- From the last one down, and in each from what is due last: there are no dead index entries to pass.
  if p_below = '' then
    select q.message ->> 'organization_id' into v_key from pgmq.q_workflow_execution_queue q
    where (q.message ->> 'organization_id') collate "C" is not null
    order by (q.message ->> 'organization_id') collate "C" desc, q.vt desc limit 1;
  else
    select q.message ->> 'organization_id' into v_key from pgmq.q_workflow_execution_queue q
    where (q.message ->> 'organization_id') collate "C" < p_below
    order by (q.message ->> 'organization_id') collate "C" desc, q.vt desc limit 1;
  end if;
  if v_key is not null then
    with recursive walk (key, looks) as (
      select v_key collate "C", 1
      union all
      select (select q.message ->> 'organization_id' collate "C" from pgmq.q_workflow_execution_queue q
              where (q.message ->> 'organization_id') collate "C" < walk.key
              order by (q.message ->> 'organization_id') collate "C" desc, q.vt desc limit 1), walk.looks + 1
      from walk where walk.key is not null and walk.looks < p_most_keys
    )
    -- Only a key that is spelled as Postgres spells a uuid belongs to an organization.
    select array_agg(w.key) filter (where w.key is not null and not exists (
        select from public.fw_module_settings s where s.organization_id = public.fw_to_uuid(w.key) and s.organization_id::text = w.key)),
      case when bool_or(w.key is null) then '' else min(w.key) end
    into v_strays, v_cursor
    from walk w;
  end if;
  v_message_ids := array(
    select q.msg_id from pgmq.q_workflow_execution_queue q
    where (q.message ->> 'organization_id') collate "C" is null and q.vt <= public.fw_now()
    order by q.vt limit p_most
    for update of q skip locked);
  if v_strays is not null then
    v_message_ids := v_message_ids || array(
      select q.msg_id from unnest(v_strays) as stray (key)
      cross join lateral (
        select q.msg_id from pgmq.q_workflow_execution_queue q
        where (q.message ->> 'organization_id') collate "C" = stray.key and q.vt <= public.fw_now()
        order by q.vt limit p_most
        for update of q skip locked) q
      limit p_most);
  end if;
  if cardinality(v_message_ids) > 0 then
    -- An organization whose settings row was deleted while its work waited gets a new one, disabled; its work waits on.
    insert into public.fw_module_settings (organization_id)
    select distinct e.organization_id
    from unnest(v_message_ids) as id
    join pgmq.q_workflow_execution_queue q on q.msg_id = id and pg_column_size(q.message) <= 32768
    join public.fw_workflow_executions e on e.id = public.fw_to_uuid(q.message ->> 'execution_id')
    where e.organization_id::text = q.message ->> 'organization_id'
    on conflict do nothing;
    perform public.fw_settle_messages(v_message_ids, public.fw_live_workflows());
  end if;
  return v_cursor;
end
$$;
comment on function public.fw_settle_strays(text, integer, integer) is
  'Internal: settles visible messages that name no organization, or one without a settings row, up to p_most: looks at up to p_most_keys organizations that have messages, from the one before p_below down ('''': from the last one). Returns where the next look goes on.';
