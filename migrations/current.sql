-- Failures that can be understood: a row for each failed attempt, and the step that a running execution is in.
drop function if exists public.fw_report_failures(uuid, uuid[], uuid[], text[], text[], boolean[], bigint[]);
drop function if exists public.fw_extend_leases(uuid, uuid[], uuid[]);
create table if not exists public.fw_failed_attempts (
  id uuid primary key,
  execution_id uuid not null,
  organization_id uuid not null,
  attempt integer not null,
  error text,
  error_category text,
  is_permanent boolean not null,
  step text,
  stack text,
  outcome text not null,
  executor_id uuid,
  executor_name text,
  batch_id uuid,
  failed_at timestamptz not null
);
comment on table public.fw_failed_attempts is
  'Failed attempts, a row each, so that a later error does not overwrite an earlier one. They are deleted together with their execution.';
comment on column public.fw_failed_attempts.id is 'A UUIDv7: ordered by time.';
comment on column public.fw_failed_attempts.attempt is 'The attempt that failed. It counts from 1 again when a dead letter is put back.';
comment on column public.fw_failed_attempts.error is 'The message of the error, at most 10,000 characters.';
comment on column public.fw_failed_attempts.is_permanent is 'The error said that trying again cannot help.';
comment on column public.fw_failed_attempts.step is 'The step that the error came from; of a lost lease: the step that the execution was in when its executor was last heard of. NULL where none is known.';
comment on column public.fw_failed_attempts.stack is 'The stack of the error with its causes, at most 10,000 characters; NULL for what has none.';
comment on column public.fw_failed_attempts.outcome is 'What became of the execution by it: retry_pending, failed (dead-lettered), cancelled, or compensating.';
comment on column public.fw_failed_attempts.executor_id is 'The executor that ran the attempt; of a lost lease: the one that has vanished.';
comment on column public.fw_failed_attempts.executor_name is 'Its name, as it was then.';
comment on column public.fw_failed_attempts.batch_id is 'The batch (fw_worker_runs) that the attempt ran in.';
create index if not exists fw_failed_attempts_execution_idx on public.fw_failed_attempts (execution_id, id);
alter table public.fw_workflow_executions
  add column if not exists current_step text collate "C",
  add column if not exists current_step_since timestamptz;
comment on column public.fw_workflow_executions.current_step is 'Internal: the step that it was in when its lease was extended last; fw_current_step() says whether that still holds.';
comment on column public.fw_workflow_executions.current_step_since is 'Internal: since when, not before the claim of the batch that it belongs to.';
comment on column public.fw_worker_config.execution_retention is 'How long finished executions, their steps and their failed attempts are kept. One with a dead letter stays as long as that.';
