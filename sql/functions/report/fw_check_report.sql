create or replace function public.fw_check_report(
  p_execution_ids uuid[], p_outputs jsonb[], p_step_items integer[], p_step_names text[], p_step_indexes integer[], p_step_outputs jsonb[]
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  -- The database counts what is stored, which is up to four times the text.
  c_stored constant integer := 4;
  c_apart constant integer := 64;
  v_config public.fw_worker_config;
  v_name text;
  v_bytes bigint;
  v_index integer;
begin
  select * into v_config from public.fw_worker_config c;
  perform public.fw_check_size('output_limit', v_config.output_limit, format('the output of execution %s', i.id), i.output)
  from unnest(p_execution_ids, p_outputs) as i (id, output)
  where pg_column_size(i.output) > 10000 or octet_length(i.output::text) > 10000;
  perform public.fw_check_size('result_limit', v_config.result_limit, format('the result of step %L', s.name), s.output)
  from unnest(p_step_names, p_step_outputs) as s (name, output)
  where pg_column_size(s.output) > 10000 or octet_length(s.output::text) > 10000;

  select s.name, s.step_index into v_name, v_index from unnest(p_step_names, p_step_indexes) as s (name, step_index)
  where s.step_index >= v_config.steps_limit limit 1;
  if found then
    perform public.fw_refuse('steps_limit', format('the execution of step %L', v_name), v_index::bigint + 1, v_config.steps_limit, 'steps');
  end if;
  -- What an execution has recorded is added up now and then only, for each look reads all of its steps.
  select s.execution_id, sum(s.bytes) into v_name, v_bytes
  from (
    select distinct p_execution_ids[s.item] as id
    from unnest(p_step_items, p_step_indexes, p_step_outputs) as s (item, step_index, output)
    where s.step_index % c_apart = c_apart - 1 or pg_column_size(s.output) > 65536
  ) looked
  cross join lateral (
    select s.execution_id, pg_column_size(s.output_data) as bytes from public.fw_execution_steps s where s.execution_id = looked.id
  ) s
  group by s.execution_id having sum(s.bytes) > c_stored * v_config.results_limit::bigint
  limit 1;
  if found then
    perform public.fw_refuse('results_limit', format('all results of execution %s together', v_name), v_bytes / c_stored, v_config.results_limit, 'bytes at least');
  end if;
end
$$;
comment on function public.fw_check_report(uuid[], jsonb[], integer[], text[], integer[], jsonb[]) is
  'Internal: refuses outputs and results of steps that are larger than the limits of fw_worker_config, and steps beyond steps_limit. All results of an execution together are added up with each 64th step and with each large result; executors count them exactly.';
