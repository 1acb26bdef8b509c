--! Previous: sha1:8ca81c25b58534d6ecbc8ee2c5b3aab857190dbe
--! Hash: sha1:d58b9c96bf2aab340e88f6552a5b074c8dff88d3
--! Message: waiting, events, children, compensation

-- Functions whose arguments or results have changed; what replaces them is applied after the migrations.
drop function if exists public.fw_release(uuid, uuid[], uuid[]);
drop function if exists public.fw_completed_steps(uuid);
drop function if exists public.fw_apply_retention(interval);

-- Waiting: a sleep or a wait for an event is a step whose status is waiting.
alter table public.fw_execution_steps
  add column wake_at timestamptz,
  add column event_key text collate "C",
  add column event_id uuid;
comment on column public.fw_execution_steps.wake_at is 'Of a sleep: when it is over. Of a wait for an event: when it gives up; NULL for never.';
comment on column public.fw_execution_steps.event_key is 'The event that the step waits for, or has received.';
comment on column public.fw_execution_steps.event_id is 'The event that it has received.';
create index fw_execution_steps_waiting_idx on public.fw_execution_steps (organization_id, event_key)
  where status = 'waiting' and event_key is not null;
alter table public.fw_workflow_executions add column deadline_left interval;
comment on column public.fw_workflow_executions.deadline_left is 'While it waits: what was left until its deadline. The time that an execution waits does not count.';

create table public.fw_events (
  id uuid primary key,
  organization_id uuid not null,
  key text collate "C" not null,
  payload jsonb,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);
comment on table public.fw_events is 'Events that were emitted, kept for those who will wait for them later.';
create index fw_events_key_idx on public.fw_events (organization_id, key, id);
create index fw_events_expires_idx on public.fw_events (expires_at);
alter table public.fw_worker_config add column event_retention interval not null default '7 days'
  constraint fw_worker_config_event_retention_check check (event_retention >= interval '1 minute');
comment on column public.fw_worker_config.event_retention is 'How long an event is kept for those who have not begun to wait for it yet.';

alter table public.fw_workflow_executions
  add column progress real,
  add column progress_text text;
comment on column public.fw_workflow_executions.progress is 'How far its handler says that it is, 0 to 1.';

-- Children: executions that another one waits for.
alter table public.fw_workflow_executions
  add column parent_id uuid,
  add column parent_step text collate "C";
comment on column public.fw_workflow_executions.parent_id is 'The execution that invoked this one and waits for it.';
comment on column public.fw_workflow_executions.parent_step is 'The step in which it waits.';
create index fw_workflow_executions_parent_idx on public.fw_workflow_executions (parent_id) where parent_id is not null;
alter table public.fw_execution_steps
  add column child_id uuid,
  add column wait_group text collate "C",
  add column is_held boolean not null default false;
comment on column public.fw_execution_steps.child_id is 'The execution that the step waits for, or waited for.';
comment on column public.fw_execution_steps.wait_group is 'Of a child in a map: the map. The execution wakes when the last of them has finished.';
comment on column public.fw_execution_steps.is_held is 'Of a child in a map: it is not visible yet, because as many as the map allows are under way.';
create index fw_execution_steps_group_idx on public.fw_execution_steps (execution_id, wait_group, step_index)
  where status = 'waiting' and wait_group is not null;

-- Compensation.
drop function if exists public.fw_claim_batches(uuid, integer, uuid[]);
drop function if exists public.fw_claim_organizations(uuid, text[], text[], uuid[], timestamptz[], integer, boolean);
drop function if exists public.fw_take_batch(uuid, uuid);
alter table public.fw_workflow_executions add column compensating jsonb;
comment on column public.fw_workflow_executions.compensating is 'Set when the compensations of its steps begin: how it will end once they have run, and why.';
