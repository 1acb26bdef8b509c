-- Enter migration here

-- For who has one tenant: the worker of a new organization is enabled at once.
alter table public.fw_worker_config add column if not exists enable_new_organizations boolean not null default false;
comment on column public.fw_worker_config.enable_new_organizations is
  'Whether the first enqueue for an organization enables its worker. False: its work waits until an administrator enables it.';
