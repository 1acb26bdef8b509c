create or replace function public.fw_undone_text(p_execution_id uuid, p_error text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select p_error || coalesce((
    select left(case when u.compensated = '{}' then '' else '; compensated: ' || array_to_string(u.compensated, ', ') end
      || case when u.not_compensated = '{}' then '' else '; not compensated: ' || array_to_string(u.not_compensated, ', ') end, 10000)
    from public.fw_undone(array[p_execution_id]) u), '')
$$;
comment on function public.fw_undone_text(uuid, text) is
  'Internal: the error of an execution that has ended, with the steps that were compensated and those that were not.';
