create or replace function public.fw_read_recorded(
  p_executor_id uuid, p_execution_ids uuid[], p_batch_ids uuid[], p_after text[],
  p_most_bytes integer default 4000000, p_each_bytes integer default 1000000
) returns table (place integer, kind text, value text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_left bigint := p_most_bytes;
  v_each bigint;
  v_input jsonb;
  v_steps no scroll cursor (p_execution_id uuid, p_after text) for
    select r.step::text from public.fw_recorded_steps r
    where r.execution_id = p_execution_id and r.node_id > p_after collate "C"
    order by r.node_id;
begin
  if p_execution_ids is null or cardinality(p_execution_ids) is distinct from cardinality(p_batch_ids) or cardinality(p_execution_ids) is distinct from cardinality(p_after) then
    raise invalid_parameter_value using
      message = format('%s executions, %s batches and %s names to go on after', coalesce(cardinality(p_execution_ids)::text, 'NULL'),
        coalesce(cardinality(p_batch_ids)::text, 'NULL'), coalesce(cardinality(p_after)::text, 'NULL')),
      hint = 'Pass a place in each array for each execution.';
  end if;
  for v_place in 1..cardinality(p_execution_ids) loop
    exit when v_left <= 0;
    place := v_place;
    select e.input into v_input
    from public.fw_workflow_executions e join public.fw_worker_runs r on r.id = e.batch_id
    where e.id = p_execution_ids[v_place] and e.batch_id = p_batch_ids[v_place] and e.status = 'running'
      and r.executor_id = p_executor_id and public.fw_run_holds_lease(r.id);
    if not found then
      kind := 'fenced';
      value := null;
      return next;
      continue;
    end if;
    v_each := p_each_bytes;
    kind := 'step';
    -- By a cursor: a FOR loop would read up to fifty large results ahead.
    open v_steps(p_execution_ids[v_place], coalesce(p_after[v_place], ''));
    loop
      value := null;
      -- A step at least, however large it is.
      exit when v_each <= 0 or v_left <= 0;
      fetch v_steps into value;
      exit when not found;
      return next;
      v_each := v_each - octet_length(value);
      v_left := v_left - octet_length(value);
    end loop;
    close v_steps;
    if v_each > 0 and v_left > 0 then
      kind := 'last';
      if public.fw_if_small(v_input) is null then
        value := v_input::text;
        v_left := v_left - octet_length(value);
      end if;
      return next;
    end if;
  end loop;
end
$$;
comment on function public.fw_read_recorded(uuid, uuid[], uuid[], text[], integer, integer) is
  'What runs resume from, in pages: a place in each array for each execution that the executor holds; p_after is the name of the last step that was read of it, NULL at first. Returns rows of kind step (a JSON object, as fw_recorded_steps has it, in the order of their names), then, when all of an execution was read, one of kind last (with the input, as JSON text, where the claim did not hand it over), or one of kind fenced when the lease is lost. Stops after about p_most_bytes, and with each execution after p_each_bytes; what has no last row is asked for again.';
