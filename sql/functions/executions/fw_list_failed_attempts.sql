create or replace function public.fw_list_failed_attempts(p_execution_id uuid, p_before uuid default null, p_most integer default 100)
returns setof public.fw_failed_attempts
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
    select a.* from public.fw_failed_attempts a
    where a.execution_id = p_execution_id and (p_before is null or a.id < p_before)
    order by a.id desc
    limit p_most;
end
$$;
comment on function public.fw_list_failed_attempts(uuid, uuid, integer) is
  'The failed attempts of an execution, the newest first: what went wrong, in which step, with which stack, where and when. The id of the last row, as p_before, gives the next page.';
