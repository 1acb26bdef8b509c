-- Enter migration here

-- For who has one tenant: the worker of a new organization is enabled at once.
alter table public.fw_worker_config add column if not exists enable_new_organizations boolean not null default false;
comment on column public.fw_worker_config.enable_new_organizations is
  'Whether the first enqueue for an organization enables its worker. False: its work waits until an administrator enables it.';

-- Keeping up: retention goes on where it stopped, and says what it could not delete.
create table if not exists public.fw_retention (
  kind text primary key,
  after_id uuid,
  caught_up_at timestamptz not null default now()
);
comment on table public.fw_retention is 'How far retention is, a row for each kind of thing that it deletes.';
comment on column public.fw_retention.kind is 'What is deleted: executions, batches, events, notices, ticks.';
comment on column public.fw_retention.after_id is 'Internal: the next run goes on after this id. NULL: it begins with the oldest.';
comment on column public.fw_retention.caught_up_at is 'When a run last found no more of this kind to delete.';
insert into public.fw_retention (kind) values ('executions'), ('batches'), ('events'), ('notices'), ('ticks') on conflict (kind) do nothing;

create table if not exists public.fw_retention_failures (
  kind text not null,
  id text not null,
  error text not null,
  sqlstate text not null,
  failed_at timestamptz not null,
  primary key (kind, id)
);
comment on table public.fw_retention_failures is 'Rows that retention could not delete, with the reason. Each is tried again after an hour, and hinders no other.';
comment on column public.fw_retention_failures.kind is 'As in fw_retention.';
comment on column public.fw_retention_failures.id is 'Of the execution, batch, event, notice or tick.';
comment on column public.fw_retention_failures.error is 'What the database said when it was to be deleted last.';

alter table public.fw_jobs add column if not exists has_more boolean not null default false;
comment on column public.fw_jobs.has_more is 'The last run stopped before all was done: an executor runs the job again at once.';

-- Closed by default: what was granted by hand survives a migrate, what default privileges give does not.
create table if not exists public.fw_kept_grants (
  kind text not null,
  name text not null,
  column_name text not null,
  grantee oid not null,
  privilege text not null,
  is_grantable boolean not null,
  primary key (kind, name, column_name, grantee, privilege)
);
comment on table public.fw_kept_grants is 'Internal: empty but while a migrate is at work, or did not reach its end: what was granted to roles by name, to be given again. fw_grants shows who may do what now.';
alter table public.fw_worker_config
  add column if not exists closed_as text,
  add column if not exists grants_noted_at timestamptz;
comment on column public.fw_worker_config.closed_as is 'Internal: the tables from which all grants of default privileges were taken away, as fw_closed_as names them.';
comment on column public.fw_worker_config.grants_noted_at is 'Internal: when a migrate that has not reached its end has noted the grants in fw_kept_grants.';
comment on column public.fw_jobs.command is 'What pg_cron runs, to be read here and never executed from here: fw_job_command has it, and fw_run_job runs a job by its name.';

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

-- Neighbours: one that somebody holds locked is not waited for by each claim.
alter table public.fw_executors add column if not exists waited_in_vain_at timestamptz not null default '-infinity';
comment on column public.fw_executors.waited_in_vain_at is 'When a claim last waited in vain for an organization that somebody else had locked.';
