create or replace function public.fw_record_waits(
  p_execution_ids uuid[],
  p_wait_items integer[], p_wait_names text[], p_wait_indexes integer[], p_wait_ms bigint[], p_wait_until timestamptz[],
  p_wait_keys text[], p_wait_workflows text[], p_wait_inputs jsonb[], p_wait_groups text[], p_wait_limits integer[],
  p_wait_asked text[], p_wait_asked_orders integer[]
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_children uuid[];    -- by place in the waits; NULL for what is no child
  v_waiters uuid[];     -- of the waits for an event: who waits, of which organization, and for which key
  v_key_organizations uuid[];
  v_keys text[];
begin
  if exists (
    select from unnest(p_wait_items, p_wait_names, p_wait_indexes) as w (item, name, step_index)
    where w.item is not null and (w.name is null or w.step_index is null)
  ) then
    raise null_value_not_allowed using
      message = format('p_wait_names or p_wait_indexes has a NULL, or is shorter than p_wait_items, which has %s places', cardinality(p_wait_items)),
      detail = 'No wait was recorded.',
      hint = 'Pass a name and an index for each wait.';
  end if;
  if exists (select from unnest(p_wait_names || p_wait_groups) as name where octet_length(name) > 2000) then
    raise program_limit_exceeded using
      message = format('the name of a step has %s bytes, more than 2000', (select max(octet_length(name)) from unnest(p_wait_names || p_wait_groups) as name)),
      detail = 'No wait was recorded.',
      hint = 'Give the step a shorter name.';
  end if;
  perform public.fw_check_event_key(key) from unnest(p_wait_keys) as key where key is not null;
  select array_agg(e.id), array_agg(e.organization_id), array_agg(w.key) into v_waiters, v_key_organizations, v_keys
  -- One by one: a join could be planned to begin with all executions that there are.
  from unnest(p_wait_items, p_wait_keys) as w (item, key)
  cross join lateral (select x.id, x.organization_id from public.fw_workflow_executions x where x.id = p_execution_ids[w.item] limit 1) e
  where w.key is not null;
  if v_keys is not null then
    -- Before any message is locked, as fw_hand_over_event does, and in one order.
    perform pg_advisory_xact_lock(l.lock)
    from (
      select distinct public.fw_event_lock(k.organization_id, k.key) as lock
      from unnest(v_key_organizations, v_keys) as k (organization_id, key)
      order by lock
    ) l;
  end if;
  -- Before its steps, in the order of all locks: a child that finishes at this moment holds the message of its parent, and either
  -- is seen finished here, or sees its parent waiting.
  perform from pgmq.q_workflow_execution_queue q
  where q.msg_id = any (array(select e.msg_id from public.fw_workflow_executions e where e.id = any (p_execution_ids)))
  order by q.msg_id
  for update of q;
  -- What waits since an earlier run waits on, until the time that was set then.
  v_children := array(select case when w.name is not null then public.fw_uuid() end from unnest(p_wait_workflows) with ordinality as w (name, place) order by w.place);
  insert into public.fw_execution_steps
    (execution_id, node_id, organization_id, step_index, attempt_number, status, started_at, wake_at, event_key, child_id, wait_group, is_held,
     asked, asked_order)
  select e.id, w.name, e.organization_id, w.step_index, e.retry_count + 1, 'waiting', public.fw_now(), coalesce(w.until, public.fw_now() + public.fw_milliseconds(w.ms)),
    w.key, w.child, w.wait_group, coalesce(w.wait_limit < row_number() over (partition by w.item, w.wait_group order by w.step_index), false),
    w.asked, w.asked_order
  from unnest(p_wait_items, p_wait_names, p_wait_indexes, p_wait_ms, p_wait_until, p_wait_keys, v_children, p_wait_groups, p_wait_limits,
    p_wait_asked, p_wait_asked_orders)
    as w (item, name, step_index, ms, until, key, child, wait_group, wait_limit, asked, asked_order)
  join public.fw_workflow_executions e on e.id = p_execution_ids[w.item]
  on conflict (execution_id, node_id) do nothing;
  if exists (select from unnest(v_children) as child where child is not null) then
    perform public.fw_create_children(
      v_children, array(select p_execution_ids[item] from unnest(p_wait_items) as item), p_wait_names, p_wait_workflows, p_wait_inputs);
  end if;
  if v_keys is not null then
    -- Events that came before: the oldest that the execution has not received yet.
    perform public.fw_receive_events(v_waiters, v_keys);
    if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
      -- The snapshot may be older than an event that did not see this wait either.
      perform public.fw_note_unmatched_keys(v_key_organizations, v_keys);
    end if;
  end if;
end
$$;
comment on function public.fw_record_waits(uuid[], integer[], text[], integer[], bigint[], timestamptz[], text[], text[], jsonb[], text[], integer[], text[], integer[]) is
  'Internal: records waits of running executions, whose batches the caller has locked: p_wait_items says to which place of the first array a wait belongs (NULL there: it is left out). Creates the children that are waited for, and gives the waits events that came before. What was recorded earlier stays as it is. Locks the messages of the executions.';
