create or replace function public.fw_list_executions(
  p_organization_id uuid default null, p_workflow text default null, p_statuses text[] default null, p_before uuid default null,
  p_most integer default 50
) returns setof public.fw_workflow_executions
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  c_most constant integer := 1000;
begin
  if p_most is null or p_most not between 1 and c_most then
    raise invalid_parameter_value using
      message = format('p_most is %s, outside 1 to %s', coalesce(p_most::text, 'NULL'), c_most),
      hint = 'The id of the last row, as p_before, gives the next page.';
  end if;
  perform public.fw_check_statuses(p_statuses, enum_range(null::public.fw_execution_status)::text[]);
  return query
    select e.* from public.fw_workflow_executions e
    where e.id = any (array(
      select public.fw_find_executions(p_organization_id, p_workflow, p_statuses::public.fw_execution_status[], p_before, p_most)))
    order by e.id desc;
end
$$;
comment on function public.fw_list_executions(uuid, text, text[], uuid, integer) is
  'Executions, the newest first, that match every filter given. The id of the last row, as p_before, gives the next page.';
