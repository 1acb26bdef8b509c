create or replace function public.fw_note_unmatched_keys(p_organization_ids uuid[], p_keys text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into public.fw_unmatched_keys (organization_id, key)
  select distinct k.organization_id, k.key from unnest(p_organization_ids, p_keys) as k (organization_id, key);
  perform pg_notify('fw_batch', '{"match_events": true}');
end
$$;
comment on function public.fw_note_unmatched_keys(uuid[], text[]) is
  'Internal: notes that somebody has to look at these keys of events again, a place in each array for each, and asks executors for it by NOTIFY fw_batch; the tick does it otherwise.';
