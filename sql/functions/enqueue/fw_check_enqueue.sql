create or replace function public.fw_check_enqueue(
  p_workflow text, p_inputs jsonb[], p_organization_id uuid, p_idempotency_keys text[], p_delay interval, p_metadata jsonb,
  p_workflow_version text
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_position integer;
begin
  if p_workflow is null or length(p_workflow) not between 1 and 200 then
    raise invalid_parameter_value using
      message = format('the workflow name %s', case when p_workflow is null then 'must not be NULL' else format('has %s characters, outside 1 to 200', length(p_workflow)) end),
      hint = 'Pass the name that the workflow was defined with.';
  end if;
  if p_organization_id is null then
    raise invalid_parameter_value using
      message = 'p_organization_id must not be NULL', hint = 'Pass the uuid of the organization that the execution belongs to.';
  end if;
  if p_inputs is null then
    raise invalid_parameter_value using message = 'p_inputs must not be NULL', hint = 'Pass an array with an input for each execution.';
  end if;
  v_position := array_position(p_inputs, null);
  if v_position is not null then
    raise invalid_parameter_value using
      message = format('the input of workflow %L at position %s is NULL', p_workflow, v_position),
      hint = 'Pass a JSON value; JSON null is ''null''::jsonb.';
  end if;
  if p_idempotency_keys is null then
    null;
  elsif cardinality(p_idempotency_keys) <> cardinality(p_inputs) then
    raise invalid_parameter_value using
      message = format('%s idempotency keys for %s inputs', cardinality(p_idempotency_keys), cardinality(p_inputs)),
      hint = 'Pass one key for each input, NULL where there is none.';
  elsif exists (select from unnest(p_idempotency_keys) as key where length(key) not between 1 and 500) then
    raise invalid_parameter_value using
      message = 'an idempotency key has a length outside 1 to 500 characters', hint = 'Pass NULL for no key.';
  end if;
  -- So small that no limit is reached.
  if pg_column_size(p_inputs) > 100 and (pg_column_size(p_inputs) > 1000000 or cardinality(p_inputs) > 1 or octet_length(p_inputs[1]::text) > 10000)
    or p_metadata is not null or p_workflow_version is not null
  then
    perform public.fw_check_enqueue_sizes(p_workflow, p_inputs, p_metadata, p_workflow_version);
  end if;
  -- Compared as dates: as intervals a year has 360 days. The day more is for those who count a year as 365.25.
  if p_delay is null or p_delay < interval '0' or p_delay > interval '200 years' or public.fw_now() + p_delay > public.fw_now() + interval '100 years 1 day' then
    raise invalid_parameter_value using
      message = format('the delay %s is outside 0 to 100 years', coalesce(p_delay::text, 'NULL')), hint = 'Nothing was enqueued.';
  end if;
end
$$;
comment on function public.fw_check_enqueue(text, jsonb[], uuid, text[], interval, jsonb, text) is
  'Internal: refuses arguments of an enqueue that no execution could be made from, naming the argument and the limit.';
