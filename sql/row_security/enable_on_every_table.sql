-- Row-level security on every table of the worker and its queues, without a policy: whoever is not the owner passes no row, whatever was
-- granted. Each table has a transaction of its own, so that its lock is held for a moment only and nobody waits behind two of them.
do $do$
declare
  v_table regclass;
begin
  for v_table in
    select c.oid::regclass from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and not c.relrowsecurity and pg_catalog.pg_has_role(c.relowner, 'usage')
      and (n.nspname = 'public' and c.relname like 'fw\_%' or n.nspname = 'graphile_migrate'
        or n.nspname = 'pgmq' and c.relname in ('q_workflow_execution_queue', 'a_workflow_execution_queue', 'q_workflow_dlq', 'a_workflow_dlq'))
    order by c.oid
  loop
    execute format('alter table %s enable row level security', v_table);
    commit;
  end loop;
end
$do$;
