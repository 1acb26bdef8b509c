create or replace function public.fw_record_steps(
  p_execution_ids uuid[], p_organizations uuid[], p_attempts integer[],
  p_items integer[], p_names text[], p_indexes integer[], p_outputs jsonb[], p_durations_ms integer[], p_compensable boolean[]
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
begin
  insert into public.fw_execution_steps
    (execution_id, node_id, organization_id, step_index, attempt_number, status, output_data, started_at, completed_at, duration_ms, is_compensable)
  select p_execution_ids[c.item], c.name, p_organizations[c.item], c.step_index, p_attempts[c.item], 'completed', c.output,
    public.fw_now() - make_interval(secs => c.duration_ms / 1000.0), public.fw_now(), c.duration_ms, c.compensable
  from unnest(p_items, p_names, p_indexes, p_outputs, p_durations_ms, p_compensable) as c (item, name, step_index, output, duration_ms, compensable)
  where p_attempts[c.item] is not null;
exception when unique_violation then
  -- Some were recorded before: a report is sent again when its answer was lost. ON CONFLICT every time would double the cost
  -- of each row.
  insert into public.fw_execution_steps
    (execution_id, node_id, organization_id, step_index, attempt_number, status, output_data, started_at, completed_at, duration_ms, is_compensable)
  select p_execution_ids[c.item], c.name, p_organizations[c.item], c.step_index, p_attempts[c.item], 'completed', c.output,
    public.fw_now() - make_interval(secs => c.duration_ms / 1000.0), public.fw_now(), c.duration_ms, c.compensable
  from unnest(p_items, p_names, p_indexes, p_outputs, p_durations_ms, p_compensable) as c (item, name, step_index, output, duration_ms, compensable)
  where p_attempts[c.item] is not null
  on conflict (execution_id, node_id) do nothing;
  -- A step that an executor of an older version has recorded, or one that got its compensation later, can be undone all the same.
  update public.fw_execution_steps s set is_compensable = true
  from unnest(p_items, p_names, p_compensable) as c (item, name, compensable)
  where c.compensable and p_attempts[c.item] is not null
    and s.execution_id = any (array[p_execution_ids[c.item]]) and s.node_id = c.name and s.status = 'completed' and s.is_compensable is null;
end
$$;
comment on function public.fw_record_steps(uuid[], uuid[], integer[], integer[], text[], integer[], jsonb[], integer[], boolean[]) is
  'Internal: records completed steps. p_items says to which place of the first three arrays a step belongs; those without an attempt are left out. A step that was recorded before stays as it is.';
