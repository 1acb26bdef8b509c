create or replace function public.fw_uuid_at(p_time timestamptz) returns uuid
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select rpad(lpad(to_hex(floor(extract(epoch from least(greatest(p_time, timestamptz 'epoch'), timestamptz '9999-12-31')) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;
comment on function public.fw_uuid_at(timestamptz) is
  'The smallest id that fw_uuid() can have given at this time: those of earlier rows are below it.';
