create or replace function public.fw_undone(p_execution_ids uuid[])
returns table (execution_id uuid, compensated text[], not_compensated text[])
language sql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
  select s.execution_id,
    coalesce(array_agg(s.node_id order by coalesce(greatest(s.seen_order, -2 - s.seen_order), s.step_index) desc, s.step_index desc) filter (where s.status = 'compensated'), '{}'),
    coalesce(array_agg(s.node_id order by coalesce(greatest(s.seen_order, -2 - s.seen_order), s.step_index) desc, s.step_index desc) filter (where s.status = 'completed'), '{}')
  from public.fw_execution_steps s
  where s.execution_id = any (p_execution_ids) and (s.status = 'compensated' or (s.status = 'completed' and s.is_compensable))
  group by s.execution_id
$$;
comment on function public.fw_undone(uuid[]) is
  'Internal: of these executions those that have steps with compensations, and which of these steps were compensated and which were not, the last one first. A step that an executor of an older version has recorded does not say that it can be compensated: until it was, it is not among them.';
