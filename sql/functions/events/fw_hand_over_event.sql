create or replace function public.fw_hand_over_event() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  v_clock timestamptz;
  v_executions uuid[];
  v_woken bigint;
begin
  if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
    -- The snapshot may be older than a wait that did not see this event either.
    perform public.fw_note_unmatched_keys(array[new.organization_id], array[new.key]);
    return null;
  end if;
  -- Locks: the event's key, then messages by id. A wait for this key that begins at this moment is waited for, or waits
  -- and finds the event.
  perform pg_advisory_xact_lock(public.fw_event_lock(new.organization_id, new.key));
  select array_agg(distinct s.execution_id) into v_executions
  from public.fw_execution_steps s
  where s.organization_id = new.organization_id and s.event_key = new.key and s.status = 'waiting';
  if v_executions is null then
    return null;
  end if;
  perform from pgmq.q_workflow_execution_queue q
  where q.msg_id = any (array(select e.msg_id from public.fw_workflow_executions e where e.id = any (v_executions)))
  order by q.msg_id
  for update of q;
  -- Not the time of this transaction, which may have begun long ago.
  v_clock := public.fw_clock();
  -- Under the locks: a claim that came first has ended the waits whose time was up, and they are not woken by this event. Of
  -- several waits of one execution the one that began first receives it; another event comes to the next.
  with first as (
    select distinct on (s.execution_id) s.execution_id, s.node_id
    from public.fw_execution_steps s
    where s.organization_id = new.organization_id and s.event_key = new.key and s.status = 'waiting'
      and (s.wake_at is null or s.wake_at > v_clock)
    order by s.execution_id, s.started_at, s.step_index
  ), received as (
    update public.fw_execution_steps s set status = 'completed', output_data = new.payload, event_id = new.id, completed_at = v_clock
    from first f
    where s.execution_id = any (array[f.execution_id]) and s.node_id = f.node_id and s.status = 'waiting'
    returning s.execution_id
  )
  update pgmq.q_workflow_execution_queue q set vt = public.fw_now()
  from public.fw_workflow_executions e
  where e.id in (select r.execution_id from received r) and e.status = 'waiting' and q.msg_id = e.msg_id;
  get diagnostics v_woken = row_count;
  if v_woken > 0 then
    perform public.fw_wake_executors(new.organization_id);
  end if;
  return null;
end
$$;
comment on function public.fw_hand_over_event() is
  'Trigger of fw_events: hands an event to the executions that wait for its key, at the end of the transaction that emitted it. So a transaction that stays open holds up nobody, and takes its locks in the one order, whatever it does after the emit.';

-- A constraint trigger cannot be replaced, and to drop it would lock out those who emit.
do $do$
begin
  if not exists (select from pg_catalog.pg_trigger t where t.tgrelid = 'public.fw_events'::regclass and t.tgname = 'fw_hand_over_event') then
    create constraint trigger fw_hand_over_event
      after insert on public.fw_events deferrable initially deferred
      for each row execute function public.fw_hand_over_event();
  end if;
end
$do$;
