create or replace function public.fw_completed_steps(p_execution_id uuid) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_agg(jsonb_build_object('name', s.node_id, 'output', s.output_data) order by s.step_index)
  from public.fw_execution_steps s
  where s.execution_id = p_execution_id and s.status = 'completed'
$$;
comment on function public.fw_completed_steps(uuid) is
  'The checkpoints that a later attempt of an execution resumes from: a JSON array of {"name", "output"}, or NULL for none.';
