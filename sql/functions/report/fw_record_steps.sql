create or replace function public.fw_record_steps(
  p_execution_ids uuid[], p_organizations uuid[], p_attempts integer[],
  p_items integer[], p_names text[], p_indexes integer[], p_outputs jsonb[], p_durations_ms integer[],
  p_asked text[], p_asked_orders integer[], p_seen_orders integer[], p_failed boolean[], p_errors jsonb[], p_compensable boolean[]
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
as $$
declare
  v_void text;
begin
  -- What an earlier attempt has recorded as failed takes the new result. ON CONFLICT every time would double the cost of each row.
  if exists (select from unnest(p_attempts) as attempt where attempt > 1) then
    v_void := public.fw_record_steps_again(p_execution_ids, p_organizations, p_attempts, p_items, p_names, p_indexes, p_outputs, p_durations_ms,
      p_asked, p_asked_orders, p_seen_orders, p_failed, p_errors, p_compensable);
    return;
  end if;
  insert into public.fw_execution_steps
    (execution_id, node_id, organization_id, step_index, attempt_number, status, output_data, started_at, completed_at, duration_ms,
     asked, asked_order, seen_order, error_message, error, is_compensable)
  select p_execution_ids[c.item], c.name, p_organizations[c.item], c.step_index, p_attempts[c.item],
    case when c.failed then public.fw_step_status 'failed' else 'completed' end, c.output,
    public.fw_now() - make_interval(secs => coalesce(c.duration_ms, 0) / 1000.0), public.fw_now(), c.duration_ms,
    c.asked, c.asked_order, c.seen_order, c.error ->> 'message', case when c.error -> 'again' is null then c.error end, c.compensable
  from unnest(p_items, p_names, p_indexes, p_outputs, p_durations_ms, p_asked, p_asked_orders, p_seen_orders, p_failed, p_errors, p_compensable)
    as c (item, name, step_index, output, duration_ms, asked, asked_order, seen_order, failed, error, compensable)
  where p_attempts[c.item] is not null;
exception
  when not_null_violation then
    raise null_value_not_allowed using
      message = format('p_step_names or p_step_indexes has a NULL, or is shorter than p_step_items, which has %s places', cardinality(p_items)),
      detail = 'Nothing was recorded of this report.',
      hint = 'Pass a name and an index for each step.';
  when program_limit_exceeded then
    raise program_limit_exceeded using
      message = format('the name of a step has %s bytes, which no index holds', (select max(octet_length(name)) from unnest(p_names) as name)),
      detail = 'Nothing was recorded of this report.',
      hint = 'Give the step a shorter name: up to 2000 bytes.';
  when unique_violation then
    -- Some were recorded before: a report is sent again when its answer was lost, and a step may be run again.
    perform public.fw_record_steps_again(p_execution_ids, p_organizations, p_attempts, p_items, p_names, p_indexes, p_outputs, p_durations_ms,
      p_asked, p_asked_orders, p_seen_orders, p_failed, p_errors, p_compensable);
end
$$;
comment on function public.fw_record_steps(uuid[], uuid[], integer[], integer[], text[], integer[], jsonb[], integer[], text[], integer[], integer[], boolean[], jsonb[], boolean[]) is
  'Internal: records steps that have completed or failed. p_items says to which place of the first three arrays a step belongs; those without an attempt are left out. A step that was completed before stays as it is. An error is {"message", ...} as the handler has seen it, with "again" when the step is to be run again.';
