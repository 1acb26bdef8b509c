create or replace function public.fw_cancel_execution(p_execution_id uuid, p_reason text default null, p_compensate boolean default false)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_reason constant text := 'cancelled' || coalesce(': ' || nullif(btrim(p_reason), ''), '');
  v_ids uuid[];
  v_reasons text[];
  v_execution public.fw_workflow_executions;
  v_ended boolean;
  v_done boolean := false;
begin
  -- Again when a claim came in between: what it runs is in a batch that was not locked then; or when children were born.
  for v_try in 1..10 loop
    v_ids := array[p_execution_id] || array(select public.fw_descendants(array[p_execution_id]));
    v_reasons := array(select case when id = p_execution_id then v_reason else v_reason || ', with the execution that invoked it' end from unnest(v_ids) as id);
    if p_compensate then
      v_ended := p_execution_id in (select public.fw_compensate_executions(v_ids, v_reasons));
    else
      v_ended := exists (
        select from public.fw_end_executions(
          v_ids, array_fill('cancelled'::public.fw_execution_status, array[cardinality(v_ids)]), v_reasons,
          array_fill(null::text, array[cardinality(v_ids)]), array_fill(false, array[cardinality(v_ids)])) e
        where e.execution_id = p_execution_id);
    end if;
    v_done := v_done or v_ended;
    select * into v_execution from public.fw_workflow_executions e where e.id = p_execution_id;
    if not found then
      raise exception using errcode = 'FW003', message = format('there is no execution %s', coalesce(p_execution_id::text, 'NULL'));
    end if;
    exit when (v_execution.status in ('completed', 'failed', 'timed_out', 'cancelled') or (p_compensate and v_execution.compensating is not null))
      and (not v_done or not exists (
        select from public.fw_descendants(array[p_execution_id]) d join public.fw_workflow_executions e on e.id = d
        where not p_compensate or e.compensating is null));
  end loop;
  return v_done;
end
$$;
comment on function public.fw_cancel_execution(uuid, text, boolean) is
  'Cancels an execution that is queued, waiting or running, and the children that it waits for: they end as cancelled with this reason, and handlers that run are aborted. With p_compensate an executor runs the compensations of their completed steps first. Returns false when it had finished, or begun to compensate, before.';
