--! Previous: sha1:43405d0509f632ea2c019046272a54fceab446ef
--! Hash: sha1:8ca81c25b58534d6ecbc8ee2c5b3aab857190dbe
--! Message: deadlines, jobs and ticks

-- Functions whose arguments or results have changed; what replaces them is applied after the migrations.
drop function if exists public.fw_offer_batches(integer);
drop function if exists public.fw_reap_lost_leases(uuid[]);
drop function if exists public.fw_dead_letter(uuid[], text[], text[]);

-- Deadlines.
alter table public.fw_workflows
  add column timeout_minutes integer not null default 60
    constraint fw_workflows_timeout_minutes_check check (timeout_minutes between 1 and 1440),
  add column on_timeout text not null default 'fail'
    constraint fw_workflows_on_timeout_check check (on_timeout in ('fail', 'cancel', 'escalate')),
  add column warn_percent integer not null default 80
    constraint fw_workflows_warn_percent_check check (warn_percent between 50 and 99);
comment on column public.fw_workflows.timeout_minutes is 'Minutes from the start of the first attempt to the deadline of an execution (1-1440).';
comment on column public.fw_workflows.on_timeout is 'What becomes of an execution that misses its deadline: fail (timed_out and dead-lettered), cancel (cancelled), escalate (timed_out, with a notice).';
comment on column public.fw_workflows.warn_percent is 'Share of the timeout (50-99) after which a notice warns, once.';
alter table public.fw_workflow_executions
  add column deadline_at timestamptz,
  add column deadline_warned_at timestamptz;
comment on column public.fw_workflow_executions.deadline_at is 'Set when the first attempt starts, from the timeout of the workflow; moved by fw_extend_deadline.';
comment on column public.fw_workflow_executions.deadline_warned_at is 'When the notice that the deadline is near was given.';

-- What closed batches did is counted once by each tick: by the transaction that closed them, for that says exactly which
-- of them an earlier tick could not see yet.
alter table public.fw_worker_runs
  add column stopped integer not null default 0,
  add column finished_xid xid8;
comment on column public.fw_worker_runs.stopped is 'Executions that were ended while they ran: timed out or cancelled, without a dead letter.';
comment on column public.fw_worker_runs.finished_xid is 'Internal: the transaction that closed the batch.';
create index fw_worker_runs_finished_idx on public.fw_worker_runs (finished_xid) where finished_xid is not null;

create table public.fw_jobs (
  name text primary key,
  schedule text not null,
  period interval not null,
  at interval not null default '0',
  command text not null,
  purpose text not null,
  installed_at timestamptz,
  last_started_at timestamptz,
  last_duration interval,
  last_driver text,
  cursor text
);
comment on table public.fw_jobs is 'The jobs that keep the worker going, one row for each file of sql/cron, and when each ran last. pg_cron runs them where it can, otherwise an executor.';
comment on column public.fw_jobs.schedule is 'When pg_cron runs it.';
comment on column public.fw_jobs.period is 'When an executor runs it, where pg_cron does not: once in each period, counted from midnight UTC plus "at".';
comment on column public.fw_jobs.installed_at is 'When fw_install_cron_jobs gave it to the pg_cron of this database. A job that is missing there later was unscheduled by hand.';
comment on column public.fw_jobs.last_driver is 'Who ran it last: pg_cron, executor <name>, or session.';
comment on column public.fw_jobs.cursor is 'Internal: where the next run goes on.';

create table public.fw_worker_ticks (
  id bigint generated always as identity primary key,
  correlation_id uuid not null,
  driver text not null,
  started_at timestamptz not null,
  duration interval not null,
  batches_offered integer not null,
  seen pg_snapshot not null
);
comment on table public.fw_worker_ticks is 'History of fw_worker_tick(). What each did by organization is in fw_worker_tick_results.';
comment on column public.fw_worker_ticks.seen is 'Internal: the batches that were closed for this tick; the next one counts those closed since.';
create table public.fw_worker_tick_results (
  tick_id bigint not null,
  organization_id uuid not null,
  messages_processed bigint not null,
  succeeded bigint not null,
  failed bigint not null,
  dlq_routed bigint not null,
  errors text[] not null,
  primary key (tick_id, organization_id)
);
comment on table public.fw_worker_tick_results is 'For each tick and organization: what the batches did that were closed since the tick before, and what the tick itself found wrong.';
comment on column public.fw_worker_tick_results.failed is 'Attempts that failed and are tried again, lost leases included.';

create table public.fw_worker_config (
  only_row boolean primary key default true constraint fw_worker_config_only_row_check check (only_row),
  paused_at timestamptz,
  pause_reason text,
  dlq_alert_depth integer not null default 100 constraint fw_worker_config_dlq_alert_depth_check check (dlq_alert_depth >= 1),
  dlq_retention interval not null default '30 days'
    constraint fw_worker_config_dlq_retention_check check (dlq_retention >= interval '1 hour'),
  execution_retention interval not null default '30 days'
    constraint fw_worker_config_execution_retention_check check (execution_retention >= interval '1 hour'),
  history_retention interval not null default '7 days'
    constraint fw_worker_config_history_retention_check check (history_retention >= interval '1 hour')
);
comment on table public.fw_worker_config is 'Settings of the worker as a whole: one row, changed by UPDATE. Those of an organization are in fw_module_settings.';
comment on column public.fw_worker_config.paused_at is 'Set by fw_pause: nothing new starts, for no organization; what is running finishes.';
comment on column public.fw_worker_config.dlq_alert_depth is 'Dead letters of an organization from which fw-dlq-threshold-check gives a notice.';
comment on column public.fw_worker_config.dlq_retention is 'Age from which fw-dlq-auto-discard discards dead letters.';
comment on column public.fw_worker_config.execution_retention is 'How long finished executions and their steps are kept. One with a dead letter stays as long as that.';
comment on column public.fw_worker_config.history_retention is 'How long batches, ticks, notices and pg_cron''s own history of these jobs are kept.';
insert into public.fw_worker_config default values;

create table public.fw_notices (
  id bigint generated always as identity primary key,
  created_at timestamptz not null default now(),
  kind text not null,
  organization_id uuid,
  execution_id uuid,
  message text not null
);
comment on table public.fw_notices is 'What administrators should know: deadlines that are near, missed or were extended, dead letters that pile up or were discarded. Each is also sent by NOTIFY fw_notice, as JSON.';
create index fw_notices_kind_idx on public.fw_notices (kind, organization_id, created_at);

alter table public.fw_executors add column is_paused boolean not null default false;
comment on column public.fw_executors.is_paused is 'Internal: this executor claims nothing. Looked up when it registers and with each heartbeat.';
