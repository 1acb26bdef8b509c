create or replace view public.fw_waiting_executors with (security_invoker = true) as
  select x.id from public.fw_executors x
  where x.wants_work and x.stopped_at is null and x.last_seen_at > public.fw_now() - interval '30 seconds';
comment on view public.fw_waiting_executors is
  'Executors that wait for a NOTIFY, because their last claim left room.';
