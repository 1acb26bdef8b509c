create or replace function public.fw_reap_apart(p_most integer) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_lost record;
  v_state text;
  v_reason text;
begin
  -- Settings first, as fw_reap_expired_batches does, and nobody is waited for.
  for v_lost in
    select q.msg_id, e.id
    from public.fw_worker_runs r
    join public.fw_module_settings s on s.organization_id = r.organization_id
    join pgmq.q_workflow_execution_queue q on (q.message ->> 'organization_id') collate "C" = r.organization_id::text and q.read_ct > 0
    join public.fw_workflow_executions e
      on e.id = public.fw_to_uuid(q.message ->> 'execution_id') and e.msg_id = q.msg_id and e.batch_id = r.id and e.status = 'running'
    where r.finished_at is null and r.lease_expires_at <= public.fw_now()
    order by q.msg_id limit p_most
    for no key update of s skip locked
    for update of q skip locked
  loop
    begin
      perform public.fw_reap_lost_leases(array[v_lost.id]);
    exception when data_exception or integrity_constraint_violation or program_limit_exceeded or out_of_memory or internal_error or raise_exception then
      get stacked diagnostics v_state = returned_sqlstate, v_reason = message_text;
      perform public.fw_set_aside(v_lost.msg_id, v_state, v_reason);
    end;
  end loop;
end
$$;
comment on function public.fw_reap_apart(integer) is
  'Internal: ends up to p_most attempts whose lease has run out one by one, because fw_reap_expired_batches has failed for the data of one of them: this one is set aside.';
