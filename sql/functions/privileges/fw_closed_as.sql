create or replace function public.fw_closed_as() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  -- A copy of the database by its files keeps these; a restored dump makes the tables anew, and whoever has default privileges there gets them.
  select format('%s/%s', 'public.fw_worker_config'::regclass::oid, 'public.fw_workflow_executions'::regclass::oid)
$$;
comment on function public.fw_closed_as() is
  'Internal: tells these tables from those of a dump that was restored. Where closed_as of fw_worker_config has this value, all grants that default privileges had given were taken away.';
