--! Previous: -
--! Hash: sha1:9f9e1385029df087cf5b3e2eb84753c58320a419
--! Message: worker tables and queues

-- Tables, indexes and queues of the durable execution worker. The functions over them live in sql/functions, one a file,
-- and are applied again by every migrate; what stands here is committed once and never changes.

create table public.fw_module_settings (
  organization_id uuid primary key,
  fw_execution_worker_enabled boolean not null default false,
  fw_worker_batch_size integer not null default 10,
  fw_worker_visibility_timeout_seconds integer not null default 30,
  fw_worker_concurrency integer not null default 1,
  worker_running boolean not null default false,
  worker_last_run_at timestamptz,
  worker_last_batch_size integer,
  worker_claim_floor timestamptz not null default '-infinity',
  worker_has_more boolean not null default false,
  worker_semaphore_epoch bigint not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
) with (fillfactor = 50);
comment on table public.fw_module_settings is
  'Worker settings and worker state, one row per organization. A row is created, with the worker disabled, by the first enqueue for an organization or by fw_save_worker_settings.';
comment on column public.fw_module_settings.fw_execution_worker_enabled is 'Master toggle: nothing new starts while it is false; what is running finishes.';
comment on column public.fw_module_settings.fw_worker_batch_size is 'Messages per batch (1-50).';
comment on column public.fw_module_settings.fw_worker_visibility_timeout_seconds is 'Seconds that a claimed message stays invisible, and a lease lives, unless it is extended (30-600).';
comment on column public.fw_module_settings.fw_worker_concurrency is 'Semaphore slots (1-100): work in flight never exceeds slots x batch size.';
comment on column public.fw_module_settings.worker_running is 'True while a batch of this organization is open. Setting it to false by hand frees the semaphore and fences the runs that held it.';
comment on column public.fw_module_settings.worker_last_run_at is 'When the last batch was claimed.';
comment on column public.fw_module_settings.worker_last_batch_size is 'Executions in the batch claimed last.';
comment on column public.fw_module_settings.worker_claim_floor is 'Internal: visibility time at which the last claim ended; the next one starts there instead of at dead index entries.';
comment on column public.fw_module_settings.worker_has_more is 'Internal: the last claim was full, so more work probably waits.';
comment on column public.fw_module_settings.worker_semaphore_epoch is 'Internal: raised when the semaphore is reset by hand; runs of an older epoch are fenced.';
create index fw_module_settings_has_more_idx on public.fw_module_settings (organization_id) where worker_has_more;

create table public.fw_workflows (
  name text primary key,
  max_attempts integer not null,
  backoff_initial_ms bigint not null,
  backoff_factor double precision not null,
  backoff_max_ms bigint not null,
  registered_at timestamptz not null default now()
);
comment on table public.fw_workflows is
  'Workflows that executors have registered, with the retry policy that the database applies to them. The executor that starts last has the last word.';

create table public.fw_executors (
  id uuid primary key,
  name text not null,
  workflows text[] not null,
  started_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  stopped_at timestamptz,
  wants_work boolean not null default false,
  claim_cursor text not null default '',
  rescanned_at timestamptz not null default '-infinity',
  rescan_cost interval not null default '0'
) with (fillfactor = 50);
comment on table public.fw_executors is 'Executors that have registered: what they can run and when they were last seen.';
comment on column public.fw_executors.workflows is 'Names of the workflows that this executor runs, sorted.';
comment on column public.fw_executors.wants_work is 'True when the last claim left room: an enqueue then sends a NOTIFY.';
comment on column public.fw_executors.claim_cursor is 'Internal: the organization served last; the next claim goes on after it.';
comment on column public.fw_executors.rescanned_at is 'Internal: end of the last walk over all organizations with waiting work.';
comment on column public.fw_executors.rescan_cost is 'Internal: how long that walk took; the next one is spaced by a multiple of it.';

create table public.fw_worker_runs (
  id uuid primary key,
  organization_id uuid not null,
  executor_id uuid,
  size integer not null,
  open integer not null,
  succeeded integer not null default 0,
  failed integer not null default 0,
  dead_lettered integer not null default 0,
  released integer not null default 0,
  lost integer not null default 0,
  semaphore_epoch bigint not null,
  semaphore_places integer not null,
  lease_seconds integer not null,
  lease_expires_at timestamptz not null,
  claimed_at timestamptz not null default now(),
  taken_at timestamptz,
  finished_at timestamptz
) with (fillfactor = 70);
comment on table public.fw_worker_runs is
  'Run history, a row a batch; and, while the batch is open, its lease. The id is the fencing token: a UUIDv7, so it has a random part and is never given twice.';
comment on column public.fw_worker_runs.open is 'Executions of the batch that are still in flight: the places of the semaphore that it holds.';
comment on column public.fw_worker_runs.failed is 'Attempts that failed and will be retried.';
comment on column public.fw_worker_runs.released is 'Executions handed back unfinished without a failed attempt.';
comment on column public.fw_worker_runs.lost is 'Executions whose lease ran out: each is a failed attempt.';
comment on column public.fw_worker_runs.semaphore_places is 'Slots x batch size of the organization at the claim.';
create index fw_worker_runs_open_idx on public.fw_worker_runs (organization_id) where finished_at is null;

create table public.fw_workflow_executions (
  id uuid primary key,
  workflow_name text not null,
  workflow_version text,
  organization_id uuid not null,
  status text not null default 'queued' constraint fw_workflow_executions_status_check check
    (status in ('queued', 'running', 'waiting', 'retry_pending', 'completed', 'failed', 'timed_out', 'cancelled')),
  input jsonb not null,
  output jsonb,
  metadata jsonb,
  idempotency_key text,
  retry_count integer not null default 0,
  last_error text,
  error_category text,
  next_retry_at timestamptz,
  msg_id bigint not null,
  batch_id uuid,
  dlq_msg_id bigint,
  discarded_at timestamptz,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  completed_at timestamptz
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
comment on table public.fw_workflow_executions is 'Executions and their state: the authority for status, input, output and error.';
comment on column public.fw_workflow_executions.retry_count is 'Attempt minus one; the attempt itself is counted in the queue message.';
comment on column public.fw_workflow_executions.msg_id is 'The message in workflow_execution_queue that stands for this execution while it is live.';
comment on column public.fw_workflow_executions.batch_id is 'The batch (fw_worker_runs) that this execution runs in, or ran in last.';
comment on column public.fw_workflow_executions.dlq_msg_id is 'Its message in workflow_dlq, while there is one.';
comment on column public.fw_workflow_executions.discarded_at is 'When its dead letter was purged or deleted.';
create unique index fw_workflow_executions_idempotency_idx on public.fw_workflow_executions
  (organization_id, workflow_name, idempotency_key) where idempotency_key is not null;
create index fw_workflow_executions_dlq_idx on public.fw_workflow_executions (dlq_msg_id) where dlq_msg_id is not null;

create table public.fw_execution_steps (
  execution_id uuid not null,
  node_id text collate "C" not null,
  organization_id uuid not null,
  step_index integer not null,
  attempt_number integer not null,
  status text not null constraint fw_execution_steps_status_check check
    (status in ('pending', 'running', 'completed', 'failed', 'skipped', 'waiting', 'compensated')),
  output_data jsonb,
  error_message text,
  started_at timestamptz not null,
  completed_at timestamptz,
  duration_ms integer,
  primary key (execution_id, node_id)
);
comment on table public.fw_execution_steps is 'Checkpoints: the result of each step of each execution, written once and never rewritten once completed.';
comment on column public.fw_execution_steps.node_id is 'Name of the step within its execution; a repeated name is numbered (name#2).';
comment on column public.fw_execution_steps.attempt_number is 'Attempt of the execution in which the step completed.';

select pgmq.create('workflow_execution_queue');
select pgmq.create('workflow_dlq');

-- The claim index: exactly its where and its order by. Collation "C" makes text order equal to uuid order.
create index fw_queue_organization_vt_idx on pgmq.q_workflow_execution_queue
  (((message ->> 'organization_id') collate "C"), vt);
-- No query of pgmq's own uses its index on vt alone (read() goes by msg_id), and it would tempt the planner away from the
-- claim index; each claim would have to keep it up to date.
drop index pgmq.q_workflow_execution_queue_vt_idx;
alter table pgmq.q_workflow_execution_queue set
  (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05, vacuum_truncate = off);
