-- Enter migration here

-- Neighbours: one that somebody holds locked is not waited for by each claim.
alter table public.fw_executors add column if not exists waited_in_vain_at timestamptz not null default '-infinity';
comment on column public.fw_executors.waited_in_vain_at is 'When a claim last waited in vain for an organization that somebody else had locked.';
