create or replace function public.fw_wake_executors(p_organization_id uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off
as $$
begin
  -- A NOTIFY is a latency hint and takes a global lock at commit, so it is sent only when somebody waits for it.
  if exists (select from public.fw_waiting_executors) then
    perform pg_notify('fw_work', to_json(p_organization_id)::text);
  end if;
end
$$;
comment on function public.fw_wake_executors(uuid) is
  'Internal: tells executors that have room, by NOTIFY fw_work, that this organization has new work.';
