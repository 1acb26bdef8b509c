create or replace function public.fw_health_of_claims() returns table (subject text, is_ok boolean, detail text, hint text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  c_recent constant interval := '1 day';
  v_executors bigint;
  v_since timestamptz;
  v_example text;
  v_aside bigint;
  v_notice text;
  v_errors text[];
begin
  select count(*), min(x.claims_fail_since), min(format('%s: %s', x.name, x.claim_error)) into v_executors, v_since, v_example
  from public.fw_executors x
  where x.claims_fail_since is not null and x.stopped_at is null and x.last_seen_at > public.fw_now() - interval '5 minutes';
  select count(*), min(coalesce('execution ' || n.execution_id || ' was ', 'a message was ') || n.message) into v_aside, v_notice
  from public.fw_notices n where n.kind = 'set_aside' and n.created_at > public.fw_now() - c_recent;
  select t.errors into v_errors from public.fw_worker_ticks t order by t.id desc limit 1;

  subject := 'claims fail';
  is_ok := v_executors = 0 and v_aside = 0 and v_errors is null;
  detail := case when is_ok then 'no claim fails, and nothing was set aside in the last day'
    else concat_ws('; ',
      case when v_executors > 0 then format('claims of %s executors fail, the first since %s, such as %s', v_executors, date_trunc('second', v_since), v_example) end,
      case when v_aside > 0 then format('%s things were set aside in the last day: %s', v_aside, v_notice) end,
      case when v_errors is not null then 'in the last tick ' || array_to_string(v_errors, '; ') end) end;
  hint := case when is_ok then null
    else 'select * from fw_notices where kind = ''set_aside'' order by id desc says what was set aside and why; what is dead-lettered can be put back once its cause is mended.' end;
  return next;
end
$$;
comment on function public.fw_health_of_claims() is
  'Internal: the subject "claims fail" of fw_health: executors whose claims fail, what was set aside in the last day, and what failed in the last tick.';
