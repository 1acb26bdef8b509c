create or replace function public.fw_api_version(out current integer, out oldest_supported integer)
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select 4, 1
$$;
comment on function public.fw_api_version() is
  'Version of the SQL API that executors call, and the oldest one that it still serves. An executor refuses to start outside of it.';
