-- The database decides when an execution has failed for good, and has it undone first.
alter table public.fw_execution_steps
  add column if not exists is_compensable boolean,
  add column if not exists seen_order integer;
comment on column public.fw_execution_steps.is_compensable is 'True for a step that can be undone by its compensation.';
alter table public.fw_workflows add column if not exists compensate_on_timeout boolean not null default true;
comment on column public.fw_workflows.compensate_on_timeout is 'Whether an execution that misses its deadline, or that is ended with one that does, is undone before it ends.';
comment on column public.fw_workflow_executions.compensating is
  'Set when it has failed for good, or is to be cancelled, and what its steps have done is undone first: {"status", "error", "category"} say how it will end, "dead_letter" whether with a dead letter, "attempt" which attempt was the last one, "failed_attempts" how often its compensation has failed since.';

-- Functions whose arguments or results have changed; what replaces them is applied after the migrations.
drop function if exists public.fw_report(uuid, uuid[], uuid[], boolean[], jsonb[], integer[], text[], integer[], jsonb[], integer[]);
drop function if exists public.fw_record_steps(uuid[], uuid[], integer[], integer[], text[], integer[], jsonb[], integer[]);
drop function if exists public.fw_end_executions(uuid[], public.fw_execution_status[], text[], text[], boolean[], uuid[]);
