create or replace function public.fw_check_count(p_name text, p_value integer) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_value is null or p_value < 1 then
    raise invalid_parameter_value using
      message = format('%s is %s, which is less than 1', p_name, coalesce(p_value::text, 'NULL')),
      hint = 'Leave it out for the default; nothing was done.';
  end if;
end
$$;
comment on function public.fw_check_count(text, integer) is 'Internal: refuses an argument that says how many, when it is NULL or less than 1.';
