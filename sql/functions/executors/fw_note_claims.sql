create or replace function public.fw_note_claims(p_executor_id uuid, p_error text) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  update public.fw_executors x set
    claims_fail_since = case when p_error is not null then coalesce(x.claims_fail_since, public.fw_now()) end,
    claim_error = left(p_error, 1000),
    last_seen_at = greatest(x.last_seen_at, public.fw_now())
  where x.id = p_executor_id
$$;
comment on function public.fw_note_claims(uuid, text) is
  'Notes why the claims of an executor fail, and since when; with NULL, that they do not any more. fw_health shows it.';
