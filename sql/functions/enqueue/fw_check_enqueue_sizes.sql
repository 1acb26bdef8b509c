create or replace function public.fw_check_enqueue_sizes(
  p_workflow text, p_inputs jsonb[], p_metadata jsonb, p_workflow_version text
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_config public.fw_worker_config;
begin
  select * into v_config from public.fw_worker_config c;
  perform public.fw_check_size('input_limit', v_config.input_limit, format('the input of workflow %L at position %s', p_workflow, i.position), i.input)
  from unnest(p_inputs) with ordinality as i (input, position)
  where pg_column_size(i.input) > 10000 or octet_length(i.input::text) > 10000;
  if p_metadata is not null then
    perform public.fw_check_size('metadata_limit', v_config.metadata_limit, format('the metadata of workflow %L', p_workflow), p_metadata);
  end if;
  if length(p_workflow_version) > v_config.workflow_version_limit then
    perform public.fw_refuse('workflow_version_limit', format('the version of workflow %L', p_workflow), length(p_workflow_version),
      v_config.workflow_version_limit, 'characters');
  end if;
end
$$;
comment on function public.fw_check_enqueue_sizes(text, jsonb[], jsonb, text) is
  'Internal: refuses what an enqueue brings that is larger than the limits of fw_worker_config.';
