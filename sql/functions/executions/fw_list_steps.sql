create or replace function public.fw_list_steps(
  p_execution_id uuid, p_statuses text[] default null, p_after text default null, p_most integer default 100
) returns table (
  name text, step_index integer, kind text, asked text, status text, attempt integer, started_at timestamptz, completed_at timestamptz,
  duration_ms bigint, output jsonb, error text, wake_at timestamptz, event_key text, child_id uuid, child_workflow text, child_status text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  c_most constant integer := 1000;
  v_after integer;
begin
  if p_most is null or p_most not between 1 and c_most then
    raise invalid_parameter_value using
      message = format('p_most is %s, outside 1 to %s', coalesce(p_most::text, 'NULL'), c_most),
      hint = 'The name of the last row, as p_after, gives the next page.';
  end if;
  perform public.fw_check_statuses(p_statuses, enum_range(null::public.fw_step_status)::text[]);
  if p_after is not null then
    select s.step_index into v_after from public.fw_execution_steps s where s.execution_id = p_execution_id and s.node_id = p_after;
    if not found then
      raise invalid_parameter_value using
        message = format('execution %s has no step %L', coalesce(p_execution_id::text, 'NULL'), p_after),
        hint = 'p_after is the name of the last row of the page before.';
    end if;
  end if;
  return query
    select s.node_id::text, s.step_index,
      case when s.event_key is not null then 'event' when s.child_id is not null then case when s.wait_group is null then 'child' else 'map item' end
        when s.wake_at is not null then 'sleep' when s.asked = 'a transaction' then 'transaction'
        when s.asked in ('a time', 'a random number', 'a uuid') then 'value' else 'step' end,
      s.asked, s.status::text, s.attempt_number, s.started_at, s.completed_at,
      coalesce(s.duration_ms, floor(extract(epoch from s.completed_at - s.started_at) * 1000)::bigint),
      s.output_data, s.error_message, s.wake_at, s.event_key::text, s.child_id, c.workflow_name, c.status::text
    from (
      select * from public.fw_execution_steps every
      where every.execution_id = p_execution_id
        and (p_after is null or (every.step_index, every.node_id) > (v_after, p_after collate "C"))
        and (p_statuses is null or every.status = any (p_statuses::public.fw_step_status[]))
      order by every.step_index, every.node_id
      limit p_most
    ) s
    left join public.fw_workflow_executions c on c.id = s.child_id
    order by s.step_index, s.node_id;
end
$$;
comment on function public.fw_list_steps(uuid, text[], text, integer) is
  'The steps of an execution in the order in which they were asked for, in these states (NULL for all). kind says what each is: step, transaction, value (a time, a random number or a uuid), sleep, event, child, or map item (a child of a map); asked what was asked for, in words, where that is recorded; a wait has until when it lasts (wake_at; NULL for no end), the key of its event, or its child with workflow and status. The duration is in milliseconds. The name of the last row, as p_after, gives the next page.';
