create or replace function public.fw_pg_cron_version() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select x.extversion from pg_extension x
  where x.extname = 'pg_cron' and string_to_array(regexp_replace(x.extversion, '[^0-9.].*$', ''), '.')::integer[] >= array[1, 5]
$$;
comment on function public.fw_pg_cron_version() is
  'Version of the pg_cron of this database; NULL where there is none, or one older than 1.5, which knows no schedules in seconds and is not used.';
