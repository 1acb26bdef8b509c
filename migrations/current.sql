-- Enter migration here

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
