create or replace function public.fw_validate_worker_settings() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_column text;
  v_value integer;
  v_low integer;
  v_high integer;
begin
  if new.fw_execution_worker_enabled is null then
    raise not_null_violation using
      message = 'fw_execution_worker_enabled must not be NULL',
      detail = format('Organization %s: the worker is either enabled (true) or disabled (false).', new.organization_id),
      hint = 'Leave the column out to keep its value.',
      schema = 'public', table = 'fw_module_settings', column = 'fw_execution_worker_enabled';
  end if;
  for v_column, v_value, v_low, v_high in values
    ('fw_worker_batch_size', new.fw_worker_batch_size, 1, 50),
    ('fw_worker_visibility_timeout_seconds', new.fw_worker_visibility_timeout_seconds, 30, 600),
    ('fw_worker_concurrency', new.fw_worker_concurrency, 1, 100)
  loop
    if v_value is null then
      raise not_null_violation using
        message = format('%s must not be NULL', v_column),
        detail = format('Organization %s: allowed are whole numbers from %s to %s.', new.organization_id, v_low, v_high),
        hint = 'Leave the column out to keep its value.',
        schema = 'public', table = 'fw_module_settings', column = v_column;
    elsif v_value not between v_low and v_high then
      raise check_violation using
        message = format('%s is %s, outside %s to %s', v_column, v_value, v_low, v_high),
        detail = format('Organization %s: allowed are whole numbers from %s to %s.', new.organization_id, v_low, v_high),
        hint = 'Nothing was changed.',
        schema = 'public', table = 'fw_module_settings', column = v_column;
    end if;
  end loop;
  new.updated_at := public.fw_now();
  return new;
end
$$;
comment on function public.fw_validate_worker_settings() is
  'Trigger of fw_module_settings: refuses settings that are NULL or out of range, with the column, the value and the range.';

create or replace trigger fw_validate_worker_settings
  before insert or update of fw_execution_worker_enabled, fw_worker_batch_size, fw_worker_visibility_timeout_seconds,
    fw_worker_concurrency
  on public.fw_module_settings
  for each row execute function public.fw_validate_worker_settings();
