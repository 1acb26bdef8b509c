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
  return query
    select e.* from public.fw_workflow_executions e
    where (p_before is null or e.id < p_before)
      and (p_organization_id is null or e.organization_id = p_organization_id)
      and (p_workflow is null or e.workflow_name = p_workflow)
      and (p_statuses is null or e.status = any (p_statuses::public.fw_execution_status[]))
    order by e.id desc
    limit p_most;
end
$$;
comment on function public.fw_list_executions(uuid, text, text[], uuid, integer) is
  'Executions, the newest first, that match every filter given. The id of the last row, as p_before, gives the next page.';
