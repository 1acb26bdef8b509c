create or replace function public.fw_match_events(p_most integer default 1000) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_organizations uuid[];
  v_keys text[];
  v_executions uuid[];    -- with v_execution_keys: those that wait, a place for each and each key
  v_execution_keys text[];
  v_organization uuid;
  v_received bigint;
begin
  perform public.fw_check_count('p_most', p_most);
  -- In such a transaction this look could miss somebody too. The keys are left to those who look with a new snapshot.
  if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
    return 0;
  end if;
  with gone as (
    delete from public.fw_unmatched_keys u
    where u.id = any (array(select next.id from public.fw_unmatched_keys next order by next.id limit p_most for update skip locked))
    returning u.organization_id, u.key
  )
  select array_agg(k.organization_id), array_agg(k.key) into v_organizations, v_keys
  from (select distinct g.organization_id, g.key from gone g) k;
  if v_keys is null then
    return 0;
  end if;
  -- Locks: keys in one order, then messages by id. A wait that begins at this moment is waited for, or finds the event by itself.
  perform pg_advisory_xact_lock(l.lock)
  from (
    select distinct public.fw_event_lock(k.organization_id, k.key) as lock
    from unnest(v_organizations, v_keys) as k (organization_id, key)
    order by lock
  ) l;
  select array_agg(w.execution_id), array_agg(w.event_key) into v_executions, v_execution_keys
  from (
    select distinct s.execution_id, s.event_key
    from unnest(v_organizations, v_keys) as k (organization_id, key)
    join public.fw_execution_steps s on s.organization_id = any (array[k.organization_id]) and s.event_key = any (array[k.key])
    where s.status = 'waiting'
  ) w;
  if v_executions is null then
    return 0;
  end if;
  perform from pgmq.q_workflow_execution_queue q
  where q.msg_id = any (array(select e.msg_id from public.fw_workflow_executions e where e.id = any (v_executions)))
  order by q.msg_id
  for update of q;
  v_executions := array(select public.fw_receive_events(v_executions, v_execution_keys));
  v_received := cardinality(v_executions);
  if v_received > 0 then
    update pgmq.q_workflow_execution_queue q set vt = public.fw_now()
    from public.fw_workflow_executions e
    where e.id = any (v_executions) and e.status = 'waiting' and q.msg_id = e.msg_id;
    for v_organization in select distinct e.organization_id from public.fw_workflow_executions e where e.id = any (v_executions) loop
      perform public.fw_wake_executors(v_organization);
    end loop;
  end if;
  return v_received;
end
$$;
comment on function public.fw_match_events(integer) is
  'Looks again at up to p_most keys of events that were noted in fw_unmatched_keys: who waits for such a key receives the events that are kept for it. Executors call it when NOTIFY fw_batch asks for it, and the tick does. Does nothing in a REPEATABLE READ or SERIALIZABLE transaction. Returns how many waits have received an event.';
