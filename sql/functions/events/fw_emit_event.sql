create or replace function public.fw_emit_event(p_organization_id uuid, p_key text, p_payload jsonb default null) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  v_id constant uuid := public.fw_uuid();
begin
  if p_organization_id is null then
    raise not_null_violation using message = 'p_organization_id must not be NULL', hint = 'Pass the uuid of the organization; no event was emitted.';
  end if;
  perform public.fw_check_event_key(p_key);
  if pg_column_size(p_payload) > 10000 or octet_length(p_payload::text) > 10000 then
    perform public.fw_check_size('result_limit', c.result_limit, format('the payload of event %L', p_key), p_payload) from public.fw_worker_config c;
  end if;
  -- Those who wait receive it when this transaction commits: see fw_hand_over_event.
  insert into public.fw_events (id, organization_id, key, payload, expires_at)
  select v_id, p_organization_id, p_key, p_payload, public.fw_now() + c.event_retention from public.fw_worker_config c;
  return v_id;
end
$$;
comment on function public.fw_emit_event(uuid, text, jsonb) is
  'Emits an event: every execution of the organization that waits for this key receives the payload and goes on, and the event is kept (event_retention of fw_worker_config) for those that wait for it later. An execution that waits for the key in several places receives it in the one that has waited longest. Part of the caller''s transaction, and handed over when that commits. Returns the id of the event.';
