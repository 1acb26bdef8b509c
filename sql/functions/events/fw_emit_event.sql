create or replace function public.fw_emit_event(p_organization_id uuid, p_key text, p_payload jsonb default null) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  c_largest constant integer := 1048576;
  v_id constant uuid := public.fw_uuid();
  v_clock timestamptz;
  v_executions uuid[];
  v_steps text[];
  v_woken bigint;
begin
  if p_organization_id is null then
    raise not_null_violation using message = 'p_organization_id must not be NULL', hint = 'Pass the uuid of the organization; no event was emitted.';
  end if;
  perform public.fw_check_event_key(p_key);
  if octet_length(p_payload::text) > c_largest then
    raise program_limit_exceeded using
      message = format('the payload of event %L has %s bytes', p_key, octet_length(p_payload::text)),
      detail = format('Allowed are %s. No event was emitted.', c_largest),
      hint = 'Store it somewhere and emit where it is.';
  end if;

  -- Locks: the event's key, then messages by id. A wait for this key that begins at this moment is waited for, or waits
  -- and finds the event.
  perform pg_advisory_xact_lock(public.fw_event_lock(p_organization_id, p_key));
  insert into public.fw_events (id, organization_id, key, payload, expires_at)
  select v_id, p_organization_id, p_key, p_payload, public.fw_now() + c.event_retention from public.fw_worker_config c;
  select array_agg(s.execution_id), array_agg(s.node_id) into v_executions, v_steps
  from public.fw_execution_steps s
  where s.organization_id = p_organization_id and s.event_key = p_key and s.status = 'waiting';
  if v_executions is null then
    return v_id;
  end if;
  perform from pgmq.q_workflow_execution_queue q
  where q.msg_id in (select e.msg_id from public.fw_workflow_executions e where e.id = any (v_executions))
  order by q.msg_id
  for update of q;
  -- Not the time of this transaction, which may have waited for the locks.
  v_clock := public.fw_now() + (clock_timestamp() - pg_catalog.now());
  -- Under the locks: a claim that came first has ended the waits whose time was up, and they are not woken by this event.
  with received as (
    update public.fw_execution_steps s set status = 'completed', output_data = p_payload, event_id = v_id, completed_at = v_clock
    from unnest(v_executions, v_steps) as w (execution_id, node_id)
    where s.execution_id = any (array[w.execution_id]) and s.node_id = w.node_id and s.status = 'waiting'
      and (s.wake_at is null or s.wake_at > v_clock)
    returning s.execution_id
  )
  update pgmq.q_workflow_execution_queue q set vt = public.fw_now()
  from public.fw_workflow_executions e
  where e.id in (select r.execution_id from received r) and e.status = 'waiting' and q.msg_id = e.msg_id;
  get diagnostics v_woken = row_count;
  if v_woken > 0 then
    perform public.fw_wake_executors(p_organization_id);
  end if;
  return v_id;
end
$$;
comment on function public.fw_emit_event(uuid, text, jsonb) is
  'Emits an event: every execution of the organization that waits for this key receives the payload and goes on, and the event is kept (event_retention of fw_worker_config) for those that wait for it later. Part of the caller''s transaction. Returns the id of the event.';
