--! Previous: sha1:10f4c3beb96a24733bbe275705de4cb041ef8309
--! Hash: sha1:419410f082c7b6e36e73f4b9ebd3d55e34e22719
--! Message: order of replay, parking, failed attempts, undoing

-- Keys of events at which somebody has to look again.
create table if not exists public.fw_unmatched_keys (
  id bigint generated always as identity primary key,
  organization_id uuid not null,
  key text collate "C" not null,
  created_at timestamptz not null default now()
);
comment on table public.fw_unmatched_keys is
  'Keys of events for which an emit or a wait was made in a REPEATABLE READ or SERIALIZABLE transaction, whose snapshot may be too old to see the other side: fw_match_events looks at them again.';
comment on column public.fw_unmatched_keys.id is 'Internal: the order in which they were noted.';
comment on column public.fw_unmatched_keys.key is 'Key of the event.';
comment on column public.fw_unmatched_keys.created_at is 'Start of the transaction that noted the key.';
-- Who missed an event before there was a second look.
insert into public.fw_unmatched_keys (organization_id, key)
select distinct s.organization_id, s.event_key from public.fw_execution_steps s
where s.status = 'waiting' and s.event_key is not null
  and exists (select from public.fw_events v where v.organization_id = s.organization_id and v.key = s.event_key and v.expires_at > now());
-- Replay in one order: what a step was asked, and its place among what the handler has seen. Columns that are NULL for steps one
-- after the other, so that these cost nothing.
alter table public.fw_execution_steps
  add column if not exists asked text,
  add column if not exists asked_order integer,
  add column if not exists seen_order integer,
  add column if not exists error jsonb,
  add column if not exists is_compensable boolean;
comment on column public.fw_execution_steps.output_data is 'Its result. NULL when it gave nothing (undefined).';
comment on column public.fw_execution_steps.step_index is 'Its place in the order in which the handler asked for its steps.';
comment on column public.fw_execution_steps.asked is
  'What was asked for, in words: a replay that asks for something else under this name has other code. NULL for a plain step, and for waits that were begun by an executor of an older version.';
comment on column public.fw_execution_steps.asked_order is
  'The place that the next result would have taken when this was asked for. NULL when that is step_index, as it is while nothing goes on side by side.';
comment on column public.fw_execution_steps.seen_order is
  'The place of its result in the order in which the handler has seen results; a replay gives them in this order. NULL when that is step_index, and for a wait that the handler has not seen the end of. -2 less its place when something that came before it happens again: it may not be asked for any more, and is given in its turn where it is; -1 for a wait of this kind that is not over.';
comment on column public.fw_execution_steps.error is
  'Of a step that has failed: the error as the handler has seen it and gone on from it; a replay gives it again. NULL when the step is to be run again.';
comment on column public.fw_execution_steps.is_compensable is 'True for a step that can be undone by its compensation.';

-- What executions in flight have recorded side by side was seen about in the order in which it was completed.
with ended as (
  select s.execution_id, s.node_id, s.step_index,
    row_number() over (partition by s.execution_id order by s.completed_at, s.step_index) - 1 as place,
    lag(s.step_index) over (partition by s.execution_id order by s.completed_at, s.step_index) > s.step_index as is_earlier
  from public.fw_execution_steps s
  join public.fw_workflow_executions e on e.id = s.execution_id and e.status in ('queued', 'running', 'waiting', 'retry_pending')
  where s.status in ('completed', 'skipped', 'failed', 'compensated') and s.seen_order is null
)
update public.fw_execution_steps s set seen_order = n.place, asked_order = 0
from ended n
where s.execution_id = n.execution_id and s.node_id = n.node_id
  and n.execution_id in (select beside.execution_id from ended beside where beside.is_earlier);

-- Executions whose code does not fit what was recorded.
create table if not exists public.fw_parked_executions (
  execution_id uuid primary key,
  organization_id uuid not null,
  batch_id uuid not null,
  parked_at timestamptz not null,
  tries integer not null,
  executor text not null,
  recorded text not null,
  asked text not null,
  reason text not null
);
comment on table public.fw_parked_executions is
  'Executions that were parked because the code of an executor did not fit what was recorded; the view fw_parked has those that still are. They are offered again and again, and go on by themselves once code that fits is there.';
comment on column public.fw_parked_executions.batch_id is 'The batch in which it was parked last. Once it was claimed again the execution is in another one, and what stands here is over.';
comment on column public.fw_parked_executions.tries is 'How often executors have tried since parked_at.';
comment on column public.fw_parked_executions.executor is 'The executor that tried last.';
comment on column public.fw_parked_executions.recorded is 'What was recorded.';
comment on column public.fw_parked_executions.asked is 'What the code asked for in its place.';

-- The database decides when an execution has failed for good, and has it undone first.
alter table public.fw_workflows add column if not exists compensate_on_timeout boolean not null default true;
comment on column public.fw_workflows.compensate_on_timeout is 'Whether an execution that misses its deadline, or that is ended with one that does, is undone before it ends.';
comment on column public.fw_workflow_executions.compensating is
  'Set when it has failed for good, or is to be cancelled, and what its steps have done is undone first: {"status", "error", "category"} say how it will end, "dead_letter" whether with a dead letter, "attempt" which attempt was the last one, "failed_attempts" how often its compensation has failed since.';

-- Functions whose arguments or results have changed; what replaces them is applied after the migrations.
drop function if exists public.fw_end_executions(uuid[], public.fw_execution_status[], text[], text[], boolean[], uuid[]);
drop function if exists public.fw_report(uuid, uuid[], uuid[], boolean[], jsonb[], integer[], text[], integer[], jsonb[], integer[]);
drop function if exists public.fw_record_steps(uuid[], uuid[], integer[], integer[], text[], integer[], jsonb[], integer[]);
drop function if exists public.fw_checkpoint(uuid, uuid, uuid, text, integer, jsonb, integer);
drop function if exists public.fw_suspend(uuid, uuid[], uuid[], integer[], text[], integer[], bigint[], timestamptz[], text[], text[], jsonb[], text[], integer[]);
drop function if exists public.fw_lock_executions(uuid[], boolean);
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
