create or replace function public.fw_has_vt_index() returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select exists (select from pg_class c where c.oid = to_regclass('pgmq.q_workflow_execution_queue_vt_idx') and c.relkind = 'i')
$$;
comment on function public.fw_has_vt_index() is
  'Internal: whether the index of pgmq on vt alone is there again, which the worker does without.';
