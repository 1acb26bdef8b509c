create or replace function public.fw_check_deadlines(p_most integer default 1000)
returns table (execution_id uuid, organization_id uuid, outcome text)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
set lock_timeout = '100ms'
as $$
#variable_conflict use_column
declare
  c_most_aside constant integer := 20;
  v_job timestamptz;
  v_most integer := p_most;
  v_without uuid[] := '{}';
  v_id uuid;
  v_message bigint;
  v_state text;
  v_reason text;
begin
  perform public.fw_check_count('p_most', p_most);
  v_job := public.fw_job_started('workflow-timeout-watchdog');
  if v_job is null then
    return;
  end if;
  loop
    begin
      return query select * from public.fw_end_late(v_most, v_without);
      exit when v_most = p_most or cardinality(v_without) >= c_most_aside;
      -- Those behind it.
      v_most := p_most;
      continue;
    exception when lock_not_available then
      -- Somebody holds one of them, or what works for it: that one is for the next time.
      v_state := null;
    when data_exception or integrity_constraint_violation or program_limit_exceeded or out_of_memory or internal_error or raise_exception then
      get stacked diagnostics v_state = returned_sqlstate, v_reason = message_text;
    end;
    if v_most > 1 then
      v_most := v_most / 2;
      continue;
    end if;
    -- The one at fault stands alone: it is the first.
    select e.id, q.msg_id into v_id, v_message
    from pgmq.q_workflow_execution_queue q
    join public.fw_workflow_executions e on e.id = public.fw_to_uuid(q.message ->> 'execution_id') and e.msg_id = q.msg_id
    where q.read_ct > 0 and e.deadline_at <= public.fw_now() and e.status in ('queued', 'running', 'retry_pending') and e.id <> all (v_without)
    order by e.deadline_at, e.id limit 1;
    exit when v_id is null;
    if v_state is not null then
      perform public.fw_set_aside(v_message, v_state, v_reason);
    end if;
    v_without := v_without || v_id;
    v_most := p_most;
    exit when cardinality(v_without) >= c_most_aside;
  end loop;
  perform public.fw_job_done('workflow-timeout-watchdog', v_job);
end
$$;
comment on function public.fw_check_deadlines(integer) is
  'The timeout watchdog: ends executions whose deadline has passed, as their workflow says (fail: timed_out and dead-lettered; cancel: cancelled; escalate: timed_out, with a notice), each with the executions that it has invoked and that still live (cancelled), and warns once of those that are near. At most p_most of each in a call, those invoked not counted. What has completed steps with compensations is turned back first, unless its workflow says otherwise: it ends so once these have run, for which it has the timeout of its workflow anew. Returns what it did: fail, cancel, escalate, cancelled or warned.';
