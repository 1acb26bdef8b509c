-- Keys of events at which somebody has to look again.
create table if not exists public.fw_unmatched_keys (
  id bigint generated always as identity primary key,
  organization_id uuid not null,
  key text collate "C" not null,
  created_at timestamptz not null default now()
);
comment on table public.fw_unmatched_keys is
  'Keys of events for which an emit or a wait was made in a REPEATABLE READ or SERIALIZABLE transaction, whose snapshot may be too old to see the other side: fw_match_events looks at them again.';
comment on column public.fw_unmatched_keys.id is 'Internal: the order in which they were noted.';
comment on column public.fw_unmatched_keys.key is 'Key of the event.';
comment on column public.fw_unmatched_keys.created_at is 'Start of the transaction that noted the key.';
-- Who missed an event before there was a second look.
insert into public.fw_unmatched_keys (organization_id, key)
select distinct s.organization_id, s.event_key from public.fw_execution_steps s
where s.status = 'waiting' and s.event_key is not null
  and exists (select from public.fw_events v where v.organization_id = s.organization_id and v.key = s.event_key and v.expires_at > now());
