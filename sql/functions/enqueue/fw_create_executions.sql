create or replace function public.fw_create_executions(
  p_workflow text, p_inputs jsonb[], p_organization_id uuid, p_idempotency_keys text[], p_delay interval, p_metadata jsonb,
  p_workflow_version text
) returns uuid[]
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  v_count constant integer := coalesce(cardinality(p_inputs), 0);
  v_not_before timestamptz;
  v_kept_delay timestamptz; -- NULL where there is none
  v_ids uuid[] := '{}';
  v_messages bigint[];
  -- All but the execution: setting that one is a third of the cost of building each message.
  v_message constant jsonb := jsonb_build_object(
    'execution_id', null, 'organization_id', p_organization_id, 'workflow_name', p_workflow, 'attempt', 1);
  v_created uuid[];         -- not those whose idempotency key was used before; and their messages
  v_created_messages bigint[];
  v_known uuid[];           -- where there are such: for each input the execution that there is
  v_is_enabled boolean;     -- NULL where the organization is not known yet
  v_is_wanted boolean;
  v_void text;
begin
  -- Called by assignment: cheaper than PERFORM, and an enqueue of one is short enough to show it.
  v_void := public.fw_check_enqueue(p_workflow, p_inputs, p_organization_id, p_idempotency_keys, p_delay, p_metadata, p_workflow_version);
  v_not_before := public.fw_now() + p_delay;
  v_kept_delay := case when p_delay > interval '0' then v_not_before end;
  select (select s.fw_execution_worker_enabled from public.fw_module_settings s where s.organization_id = p_organization_id),
    p_delay <= interval '0' and exists (select from public.fw_waiting_executors)
  into v_is_enabled, v_is_wanted;
  if v_is_enabled is null then
    insert into public.fw_module_settings (organization_id, fw_execution_worker_enabled)
    select p_organization_id, c.enable_new_organizations from public.fw_worker_config c
    on conflict do nothing
    returning fw_execution_worker_enabled into v_is_enabled;
  end if;

  if v_count = 1 then
    v_ids := array[public.fw_uuid()];
    v_messages := array[nextval('pgmq.q_workflow_execution_queue_msg_id_seq')];
  elsif v_count > 1 then
    select array_agg(public.fw_uuid()), array_agg(nextval('pgmq.q_workflow_execution_queue_msg_id_seq'))
    into v_ids, v_messages from generate_series(1, v_count);
  end if;
  if p_idempotency_keys is null then
    -- ON CONFLICT would double the cost of each row.
    insert into public.fw_workflow_executions (id, workflow_name, workflow_version, organization_id, input, metadata, msg_id, not_before)
    select item.id, p_workflow, p_workflow_version, p_organization_id, item.input, p_metadata, item.msg_id, v_kept_delay
    from unnest(v_ids, p_inputs, v_messages) as item (id, input, msg_id);
    v_created := v_ids;
  else
    loop
      with created as (
        insert into public.fw_workflow_executions
          (id, workflow_name, workflow_version, organization_id, input, metadata, idempotency_key, msg_id, not_before)
        select item.id, p_workflow, p_workflow_version, p_organization_id, item.input, p_metadata, item.idempotency_key, item.msg_id, v_kept_delay
        from unnest(v_ids, p_inputs, v_messages, p_idempotency_keys) with ordinality
          as item (id, input, msg_id, idempotency_key, position)
        where v_known is null or v_known[item.position] is null
        -- Keys in one order, so that two calls that share some wait for each other instead of deadlocking.
        order by item.idempotency_key, item.position
        on conflict (organization_id, workflow_name, idempotency_key) where idempotency_key is not null do nothing
        returning id, msg_id
      )
      select v_created || array_agg(c.id), v_created_messages || array_agg(c.msg_id) into v_created, v_created_messages from created c;
      if coalesce(cardinality(v_created), 0) = v_count then
        -- All are new, also those whose old executions were removed meanwhile.
        v_known := null;
        exit;
      end if;
      -- A new statement, so a row that another transaction has committed meanwhile is seen; locked, so that retention does not remove it
      -- before this transaction has committed. One that it has removed is made again.
      with kept as (
        select e.id, e.idempotency_key from public.fw_workflow_executions e
        where e.organization_id = p_organization_id and e.workflow_name = p_workflow and e.idempotency_key = any (p_idempotency_keys)
        order by e.idempotency_key
        for key share of e
      )
      select array_agg(case when item.idempotency_key is null then item.id else k.id end order by item.position) into v_known
      from unnest(v_ids, p_idempotency_keys) with ordinality as item (id, idempotency_key, position)
      left join kept k on k.idempotency_key = item.idempotency_key;
      exit when array_position(v_known, null) is null;
    end loop;
    v_messages := v_created_messages;
  end if;
  -- A microsecond apart, less than the row takes to be written, so that they keep their order and a claim floor lies between them.
  insert into pgmq.q_workflow_execution_queue (msg_id, vt, message) overriding system value
  select item.msg_id, v_not_before + (item.msg_id - v_messages[1]) * interval '1 microsecond', jsonb_set(v_message, '{execution_id}', to_jsonb(item.id))
  from unnest(v_created, v_messages) as item (id, msg_id);

  -- Nobody need look for the work of an organization that is not enabled.
  if v_is_wanted and v_is_enabled is not false and cardinality(v_created) > 0 then
    v_void := pg_notify('fw_work', to_json(p_organization_id)::text);
  end if;
  return coalesce(v_known, v_ids);
end
$$;
comment on function public.fw_create_executions(text, jsonb[], uuid, text[], interval, jsonb, text) is
  'Internal: the work of fw_enqueue and fw_enqueue_many: an execution and its message for each input; returns their ids.';
