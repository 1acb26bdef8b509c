create or replace function public.fw_take_batch(p_executor_id uuid, p_batch_id uuid)
returns table (
  batch_id uuid, organization_id uuid, lease_seconds integer, execution_id uuid, workflow_name text, workflow_version text,
  attempt integer, input jsonb, steps jsonb, compensating jsonb, is_resuming boolean
)
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '500ms'
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_run public.fw_worker_runs;
  c_newest_with_steps constant integer := 3;   -- version of the SQL API that the executor speaks
  v_is_paused boolean;
  v_with_steps boolean;
begin
  select x.is_paused, x.api_version <= c_newest_with_steps into v_is_paused, v_with_steps from public.fw_executors x where x.id = p_executor_id and x.stopped_at is null;
  if not found then
    raise exception using errcode = 'FW002',
      message = format('executor %s is not registered, or has stopped', p_executor_id),
      hint = 'Call fw_register_executor and use the id that it returns.';
  end if;
  -- What is not taken goes back with the next tick.
  if v_is_paused then
    return;
  end if;
  select * into v_run from public.fw_worker_runs r
  where r.id = p_batch_id and r.taken_at is null and r.finished_at is null and r.lease_expires_at > public.fw_now()
    and public.fw_run_holds_lease(r.id)
  for no key update of r;
  if not found then
    return;
  end if;
  update public.fw_worker_runs r set executor_id = p_executor_id, taken_at = public.fw_now() where r.id = p_batch_id;
  -- Every message of a batch that no one has taken becomes visible when its lease ends, and at no other time.
  return query
    select e.batch_id, e.organization_id, v_run.lease_seconds, e.id, e.workflow_name, e.workflow_version, e.retry_count + 1,
      case when v_with_steps then e.input else public.fw_if_small(e.input) end,
      case when v_with_steps then public.fw_resume_steps(e.id) end, e.compensating,
      not v_with_steps and case when public.fw_end_waits(e.id) then true else public.fw_if_small(e.input) is null end
    from pgmq.q_workflow_execution_queue q
    join public.fw_workflow_executions e on e.id = public.fw_to_uuid(q.message ->> 'execution_id')
    where (q.message ->> 'organization_id') collate "C" = v_run.organization_id::text and q.vt = v_run.lease_expires_at
      and e.batch_id = p_batch_id and e.status = 'running';
end
$$;
comment on function public.fw_take_batch(uuid, uuid) is
  'Hands a batch that was claimed for no one in particular to this executor: its executions, as fw_claim_batches gives them. No row when another has taken it, or its lease has run out.';
