create or replace function public.fw_check_statuses(p_statuses text[], p_known text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_unknown text;
begin
  select s into v_unknown from unnest(p_statuses) as s where s <> all (p_known) limit 1;
  if v_unknown is not null then
    raise invalid_parameter_value using
      message = format('there is no status %L', left(v_unknown, 100)),
      hint = 'There are these: ' || array_to_string(p_known, ', ') || '.';
  end if;
end
$$;
comment on function public.fw_check_statuses(text[], text[]) is 'Internal: refuses a status that is not among those that are known, naming both.';
