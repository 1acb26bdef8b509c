create or replace function public.fw_list_children(
  p_execution_id uuid, p_statuses text[] default null, p_after uuid default null, p_most integer default 100
) returns table (
  id uuid, workflow_name text, step text, status text, attempt integer, error text, error_category text,
  created_at timestamptz, started_at timestamptz, completed_at timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  c_most constant integer := 1000;
begin
  if p_most is null or p_most not between 1 and c_most then
    raise invalid_parameter_value using
      message = format('p_most is %s, outside 1 to %s', coalesce(p_most::text, 'NULL'), c_most),
      hint = 'The id of the last row, as p_after, gives the next page.';
  end if;
  perform public.fw_check_statuses(p_statuses, enum_range(null::public.fw_execution_status)::text[]);
  return query
    select e.id, e.workflow_name, e.parent_step::text, e.status::text, e.retry_count + 1, e.last_error, e.error_category,
      e.created_at, e.started_at, e.completed_at
    from public.fw_workflow_executions e
    where e.parent_id = p_execution_id and (p_after is null or e.id > p_after)
      and (p_statuses is null or e.status = any (p_statuses::public.fw_execution_status[]))
    order by e.id
    limit p_most;
end
$$;
comment on function public.fw_list_children(uuid, text[], uuid, integer) is
  'The executions that an execution has invoked, the oldest first, in these states (NULL for all), each with the step in which it is waited for. The id of the last row, as p_after, gives the next page.';
