create or replace function public.fw_event_lock(p_organization_id uuid, p_key text) returns bigint
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select hashtextextended(p_organization_id::text || ' ' || p_key, 4639837259105530917)
$$;
comment on function public.fw_event_lock(uuid, text) is
  'Internal: the advisory lock under which events of this key are emitted and waits for it begin, so that neither misses the other.';
