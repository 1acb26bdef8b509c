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
