create or replace function public.fw_record_steps_again(
  p_execution_ids uuid[], p_organizations uuid[], p_attempts integer[],
  p_items integer[], p_names text[], p_indexes integer[], p_outputs jsonb[], p_durations_ms integer[],
  p_asked text[], p_asked_orders integer[], p_seen_orders integer[], p_failed boolean[], p_errors jsonb[], p_compensable boolean[]
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
  if exists (
    select from unnest(p_items, p_names, p_indexes) as c (item, name, step_index)
    where p_attempts[c.item] is not null and (c.name is null or c.step_index is null)
  ) then
    raise null_value_not_allowed using
      message = format('p_step_names or p_step_indexes has a NULL, or is shorter than p_step_items, which has %s places', cardinality(p_items)),
      detail = 'Nothing was recorded of this report.',
      hint = 'Pass a name and an index for each step.';
  end if;
  if exists (select from unnest(p_names) as name where octet_length(name) > 2000) then
    raise program_limit_exceeded using
      message = format('the name of a step has %s bytes, more than 2000', (select max(octet_length(name)) from unnest(p_names) as name)),
      detail = 'Nothing was recorded of this report.',
      hint = 'Give the step a shorter name.';
  end if;
  insert into public.fw_execution_steps as s
    (execution_id, node_id, organization_id, step_index, attempt_number, status, output_data, started_at, completed_at, duration_ms,
     asked, asked_order, seen_order, error_message, error, is_compensable)
  -- The same step may be there twice: as it failed, and that it is to be run again, which counts then.
  select distinct on (p_execution_ids[c.item], c.name)
    p_execution_ids[c.item], c.name, p_organizations[c.item], c.step_index, p_attempts[c.item],
    case when c.failed then public.fw_step_status 'failed' else 'completed' end, c.output,
    public.fw_now() - make_interval(secs => coalesce(c.duration_ms, 0) / 1000.0), public.fw_now(), c.duration_ms,
    c.asked, c.asked_order, c.seen_order, c.error ->> 'message', case when c.error -> 'again' is null then c.error end, c.compensable
  from unnest(p_items, p_names, p_indexes, p_outputs, p_durations_ms, p_asked, p_asked_orders, p_seen_orders, p_failed, p_errors, p_compensable)
    with ordinality as c (item, name, step_index, output, duration_ms, asked, asked_order, seen_order, failed, error, compensable, place)
  where p_attempts[c.item] is not null
  order by p_execution_ids[c.item], c.name, c.error -> 'again' is null, c.place
  on conflict (execution_id, node_id) do update set
    step_index = excluded.step_index, attempt_number = excluded.attempt_number, status = excluded.status, output_data = excluded.output_data,
    started_at = excluded.started_at, completed_at = excluded.completed_at, duration_ms = excluded.duration_ms,
    asked = excluded.asked, asked_order = excluded.asked_order, seen_order = excluded.seen_order,
    error_message = excluded.error_message, error = excluded.error, is_compensable = excluded.is_compensable
  -- Only what had failed: what was completed is never written again, and children that failed are no steps of this kind.
  where s.status = 'failed' and s.child_id is null;
  -- One that an executor of an older version has recorded, or that got its compensation later, can be undone all the same.
  if true = any (p_compensable) then
    update public.fw_execution_steps s set is_compensable = true
    from unnest(p_items, p_names, p_compensable) as c (item, name, compensable)
    where c.compensable and p_attempts[c.item] is not null
      and s.execution_id = any (array[p_execution_ids[c.item]]) and s.node_id = c.name and s.status = 'completed' and s.is_compensable is null;
  end if;
  -- What was asked for after an error that is forgotten may not be asked for any more, or at another time.
  update public.fw_execution_steps s set seen_order = case when s.seen_order is null and s.asked is not null and (s.wake_at is not null or s.event_key is not null or s.child_id is not null)
    then -1 else -2 - coalesce(s.seen_order, s.step_index) end
  from unnest(p_items, p_names, p_indexes, p_seen_orders, p_errors) as c (item, name, step_index, seen_order, error)
  where c.error -> 'again' is not null and p_attempts[c.item] is not null
    and s.execution_id = any (array[p_execution_ids[c.item]]) and s.node_id <> c.name
    and coalesce(s.asked_order, s.step_index) > coalesce(greatest(c.seen_order, -2 - c.seen_order), c.step_index) and coalesce(s.seen_order, 0) >= 0;
end
$$;
comment on function public.fw_record_steps_again(uuid[], uuid[], integer[], integer[], text[], integer[], jsonb[], integer[], text[], integer[], integer[], boolean[], jsonb[], boolean[]) is
  'Internal: fw_record_steps for steps of which some may have been recorded before. One that had failed takes the new result; one that was completed stays as it is. Where an error is to be forgotten ("again"), results that were asked for after it are loose in the order (seen_order -2 less their place).';
