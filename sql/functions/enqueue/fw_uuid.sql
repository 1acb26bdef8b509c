-- Postgres 18 brings uuidv7(); for 15 to 17 the same layout is put together here.
do $do$
begin
  if current_setting('server_version_num')::integer >= 180000 then
    create or replace function public.fw_uuid() returns uuid
    language sql volatile parallel safe
    as 'select pg_catalog.uuidv7()';
  else
    create or replace function public.fw_uuid() returns uuid
    language sql volatile parallel safe
    as $$
      select pg_catalog.encode(pg_catalog.set_byte(
        pg_catalog.overlay(
          pg_catalog.uuid_send(pg_catalog.gen_random_uuid()),
          pg_catalog.substring(pg_catalog.int8send(
            pg_catalog.floor(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000)::bigint), 3),
          1, 6),
        6, (pg_catalog.get_byte(pg_catalog.uuid_send(pg_catalog.gen_random_uuid()), 6) & 15) | 112), 'hex')::uuid
    $$;
  end if;
end
$do$;
comment on function public.fw_uuid() is
  'A new UUIDv7: ordered by time, so that the newest rows of an index lie together, with a random part that no crash repeats.';
