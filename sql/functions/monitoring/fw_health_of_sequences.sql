create or replace function public.fw_health_of_sequences() returns table (subject text, is_ok boolean, detail text, hint text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select 'sequences', count(b.name) = 0,
    case when count(b.name) = 0 then 'numbers are given on from the highest in use'
      else format('%s stand behind what is in use, so numbers would be given twice: %s', count(b.name), string_agg(format('%s at %s of %s', b.name, b.last_value, b.highest), ', ' order by b.name)) end,
    case when count(b.name) > 0 then 'This database is a copy, as after a switch-over by logical replication: stop the executors, run select * from fw_after_restore(), and start them.' end
  from (select * from public.fw_sequences() s where s.highest > s.last_value) b
$$;
comment on function public.fw_health_of_sequences() is
  'Internal: the subject of fw_health that says whether a sequence stands behind the numbers that are in use, as in a copy of the database.';
