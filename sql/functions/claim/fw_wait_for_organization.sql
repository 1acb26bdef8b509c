create or replace function public.fw_wait_for_organization(p_organization_id uuid) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
as $$
begin
  perform from public.fw_module_settings s where s.organization_id = p_organization_id for no key update;
  return true;
exception when lock_not_available then
  return false;
end
$$;
comment on function public.fw_wait_for_organization(uuid) is
  'Internal: locks the settings row of an organization, waiting a moment for another claim to commit. Returns whether it got it. For callers that hold no lock yet.';
