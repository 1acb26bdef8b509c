create or replace function public.fw_create_children(
  p_ids uuid[], p_parent_ids uuid[], p_steps text[], p_workflows text[], p_inputs jsonb[]
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  c_deepest constant integer := 20;
  v_unknown text;
  v_parents uuid[];
  v_organization uuid;
begin
  select w.name into v_unknown
  from (select distinct name from unnest(p_workflows) as name where name is not null) w
  where not exists (select from public.fw_workflows known where known.name = w.name)
  limit 1;
  if found then
    raise invalid_parameter_value using
      message = format('no executor has ever registered workflow %L', v_unknown),
      detail = 'No child was created.', hint = 'Start an executor that runs it before it is invoked.';
  end if;
  if pg_column_size(p_inputs) > 10000 then
    perform public.fw_check_size('input_limit', c.input_limit, format('the input of workflow %L, which step %L invokes', w.name, w.step), w.input)
    from unnest(p_steps, p_workflows, p_inputs) as w (step, name, input) cross join public.fw_worker_config c
    where w.name is not null;
  end if;
  -- Only waits that are new got the ids given here.
  v_parents := array(
    select distinct s.execution_id from unnest(p_ids, p_parent_ids, p_steps) as w (child, parent, step)
    join public.fw_execution_steps s on s.execution_id = any (array[w.parent]) and s.node_id = w.step
    where s.child_id = w.child and s.status = 'waiting');
  if exists (
    with recursive line (id, depth) as (
      select id, 1 from unnest(v_parents) as id
      union all
      select e.parent_id, line.depth + 1 from line join public.fw_workflow_executions e on e.id = line.id
      where e.parent_id is not null and line.depth <= c_deepest
    )
    select from line where line.depth > c_deepest
  ) then
    raise program_limit_exceeded using
      message = format('children are nested more than %s deep', c_deepest),
      detail = 'No child was created.', hint = 'A workflow invokes itself, directly or through others, without an end.';
  end if;

  with made as materialized (
    select w.child as id, w.name as workflow_name, w.input, s.execution_id as parent_id, s.node_id as parent_step, s.organization_id, s.is_held, s.step_index,
      nextval('pgmq.q_workflow_execution_queue_msg_id_seq') as msg_id
    from unnest(p_ids, p_parent_ids, p_steps, p_workflows, p_inputs) as w (child, parent, step, name, input)
    join public.fw_execution_steps s on s.execution_id = any (array[w.parent]) and s.node_id = w.step
    where s.child_id = w.child
  ), executions as (
    insert into public.fw_workflow_executions (id, workflow_name, organization_id, input, msg_id, parent_id, parent_step, not_before)
    select m.id, m.workflow_name, m.organization_id, coalesce(m.input, 'null'), m.msg_id, m.parent_id, m.parent_step, null from made m
  )
  insert into pgmq.q_workflow_execution_queue (msg_id, vt, message) overriding system value
  select m.msg_id, case when m.is_held then 'infinity' else public.fw_now() + m.step_index * interval '1 microsecond' end,
    jsonb_build_object('execution_id', m.id, 'organization_id', m.organization_id, 'workflow_name', m.workflow_name, 'attempt', 1)
  from made m;
  for v_organization in select distinct e.organization_id from public.fw_workflow_executions e where e.id = any (v_parents) loop
    perform public.fw_wake_executors(v_organization);
  end loop;
end
$$;
comment on function public.fw_create_children(uuid[], uuid[], text[], text[], jsonb[]) is
  'Internal: creates the children that new waits stand for, each with its message; a place in each array for each wait: the id that was given to the child (NULL for what waits for no child), its parent, the step that waits, its workflow and its input. Refuses workflows that nobody knows and children nested more than 20 deep.';
