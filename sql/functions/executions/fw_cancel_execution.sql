create or replace function public.fw_cancel_execution(p_execution_id uuid, p_reason text default null, p_compensate boolean default false)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  c_most_tries constant integer := 100;
  c_again constant text := 'FW009';
  v_reason constant text := 'cancelled' || coalesce(': ' || left(nullif(btrim(p_reason), ''), (select c.error_limit from public.fw_worker_config c)), '');
  v_ids uuid[];
  v_reasons text[];
  v_execution public.fw_workflow_executions;
  v_ended boolean;
begin
  for v_try in 1..c_most_tries loop
    -- All or nothing: what was claimed, or born, before the locks were held needs a batch or a message that comes before them in the
    -- order of all locks. So they are given back, with this block, and taken again from the first on.
    begin
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
      select * into v_execution from public.fw_workflow_executions e where e.id = p_execution_id;
      if not found then
        perform public.fw_refuse_unknown_execution(p_execution_id);
      end if;
      if v_ended then
        if exists (
          select from public.fw_descendants(array[p_execution_id]) d join public.fw_workflow_executions e on e.id = d
          where not p_compensate or e.compensating is null)
        then
          raise exception using errcode = c_again;
        end if;
      elsif v_execution.status in ('queued', 'running', 'waiting', 'retry_pending') and not (p_compensate and v_execution.compensating is not null)
      then
        raise exception using errcode = c_again;
      end if;
      return v_ended;
    exception when sqlstate 'FW009' then
      perform pg_sleep(0.01 * random());
    end;
  end loop;
  raise lock_not_available using
    message = format('execution %s could not be cancelled', p_execution_id),
    detail = 'Whenever its locks were held, others had claimed or invoked more of what works for it. Nothing was changed.',
    hint = 'Try again.';
end
$$;
comment on function public.fw_cancel_execution(uuid, text, boolean) is
  'Cancels an execution that is queued, waiting or running, and the children that it waits for: they end as cancelled with this reason (cut to error_limit of fw_worker_config), and handlers that run are aborted. With p_compensate an executor runs the compensations of their completed steps first. Returns false when it had finished, or begun to compensate, before.';
