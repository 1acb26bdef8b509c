-- Enter migration here

-- Hands and hosts: what hands have done is mended.
-- What was enqueued before has 'infinity', so that nothing is guessed about a delay that was never kept.
alter table public.fw_workflow_executions add column if not exists not_before timestamptz default 'infinity';
comment on column public.fw_workflow_executions.not_before is
  'While it is queued: when it may run first, where it was enqueued or handed back with a delay; NULL for at once, and infinity where that is not known, because it was enqueued by an older version.';
alter table public.fw_jobs
  add column if not exists installed_by name,
  add column if not exists mend_after uuid,
  add column if not exists mend_dead_letter bigint;
comment on column public.fw_jobs.installed_by is 'The role that pg_cron runs it as. Other roles do not see the job in cron.job.';
comment on column public.fw_jobs.mend_after is 'Internal: the execution at which the look for executions without a message goes on.';
comment on column public.fw_jobs.mend_dead_letter is 'Internal: the dead letter at which the look for dead letters that were sent by hand goes on.';
do $do$
begin
  -- pgmq.create makes its index on vt alone again unless something has its name. A type without columns has it, and costs nothing.
  if exists (select from pg_catalog.pg_class c where c.oid = pg_catalog.to_regclass('pgmq.q_workflow_execution_queue_vt_idx') and c.relkind = 'i') then
    drop index pgmq.q_workflow_execution_queue_vt_idx;
  end if;
  if pg_catalog.to_regclass('pgmq.q_workflow_execution_queue_vt_idx') is null then
    create type pgmq.q_workflow_execution_queue_vt_idx as ();
  end if;
  revoke all on type pgmq.q_workflow_execution_queue_vt_idx from public;
  comment on type pgmq.q_workflow_execution_queue_vt_idx is
    'Has the name of an index that the worker does without, so that pgmq.create does not make it again: it would tempt the planner away from the index of the claims.';
end
$do$;
