create or replace function public.fw_save_worker_settings(
  p_organization_id uuid,
  p_enabled boolean,
  p_batch_size integer default -2147483648,
  p_visibility_timeout_seconds integer default -2147483648,
  p_concurrency integer default -2147483648
) returns public.fw_module_settings
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  c_unchanged constant integer := -2147483648;
  v_saved public.fw_module_settings;
begin
  if p_organization_id is null then
    raise not_null_violation using message = 'p_organization_id must not be NULL', hint = 'Pass the uuid of the organization.';
  end if;
  insert into public.fw_module_settings as s (organization_id)
  values (p_organization_id)
  on conflict (organization_id) do nothing;
  update public.fw_module_settings s set
    fw_execution_worker_enabled = p_enabled,
    fw_worker_batch_size =
      case when p_batch_size = c_unchanged then s.fw_worker_batch_size else p_batch_size end,
    fw_worker_visibility_timeout_seconds =
      case when p_visibility_timeout_seconds = c_unchanged then s.fw_worker_visibility_timeout_seconds
           else p_visibility_timeout_seconds end,
    fw_worker_concurrency =
      case when p_concurrency = c_unchanged then s.fw_worker_concurrency else p_concurrency end
  where s.organization_id = p_organization_id
  returning s.* into v_saved;
  if v_saved.fw_execution_worker_enabled then
    perform public.fw_wake_executors(p_organization_id);
  end if;
  return v_saved;
end
$$;
comment on function public.fw_save_worker_settings(uuid, boolean, integer, integer, integer) is
  'Saves the worker settings of an organization, creating its row with the defaults first where there is none. An argument that is left out keeps its value; NULL or a value out of range is an error and changes nothing. Returns the saved row.';
