--! Previous: sha1:9c7a8b695391351965da994e22232febc3519bdf
--! Hash: sha1:002cb7708a22171ce5d805a0ebf11e42833abe61
--! Message: claims that wait for no locked organization

-- Enter migration here

-- Neighbours: one that somebody holds locked is not waited for by each claim.
alter table public.fw_executors add column if not exists waited_in_vain_at timestamptz not null default '-infinity';
comment on column public.fw_executors.waited_in_vain_at is 'When a claim last waited in vain for an organization that somebody else had locked.';
