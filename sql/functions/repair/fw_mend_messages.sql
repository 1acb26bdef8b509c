create or replace function public.fw_mend_messages(p_budget interval default '200 milliseconds') returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  c_chunk constant integer := 2000;
  v_until constant timestamptz := clock_timestamp() + p_budget;
  v_after uuid;
  v_dead_letter bigint;
  v_last_dead_letter bigint;
  v_started_after uuid;
  v_is_round boolean := false;  -- the end was reached, and the look goes on with the oldest
  v_is_over boolean := false;
  v_read bigint;
  v_last uuid;
  v_ids uuid[];
  v_total bigint := 0;
  v_count bigint;
  v_example uuid;
  v_first uuid;
begin
  -- Whose message is gone stands in no index, and one on the status would be written by every execution several times. So executions
  -- are read in the order of their ids, the newest first, and then on from where the last look has stopped.
  select coalesce(j.mend_after, '00000000-0000-0000-0000-000000000000'), coalesce(j.mend_dead_letter, 0) into v_after, v_dead_letter
  from public.fw_jobs j where j.name = 'process-workflow-queue';
  v_started_after := v_after;
  for v_turn in 0..1000000 loop
    begin
      if v_turn = 0 then
        select count(*), array_agg(e.id) filter (where e.status in ('queued', 'running', 'waiting', 'retry_pending')) into v_read, v_ids
        from (select e.id, e.status from public.fw_workflow_executions e order by e.id desc limit c_chunk) e;
        v_is_over := v_read < c_chunk;
      else
        select count(*), (array_agg(e.id order by e.id desc))[1], array_agg(e.id) filter (where e.status in ('queued', 'running', 'waiting', 'retry_pending'))
        into v_read, v_last, v_ids
        from (select e.id, e.status from public.fw_workflow_executions e where e.id > v_after order by e.id limit c_chunk) e;
        v_is_over := v_is_round and (v_read < c_chunk or v_last >= v_started_after);
        v_is_round := v_is_round or v_read < c_chunk;
        v_after := case when v_read < c_chunk then '00000000-0000-0000-0000-000000000000' else v_last end;
      end if;
      -- A look without locks first: nearly always there is nothing.
      v_ids := array(select m.execution_id from public.fw_find_misplaced(v_ids) m);
      if cardinality(v_ids) > 0 then
        select count(*), (array_agg(m.execution_id))[1] into v_count, v_example from public.fw_mend_executions(v_ids) m;
        v_total := v_total + v_count;
        v_first := coalesce(v_first, v_example);
      end if;
    exception when others then
      raise warning 'some executions could not be looked at for a message that is missing (%): %', sqlstate, sqlerrm;
    end;
    exit when v_is_over or (v_turn > 0 and clock_timestamp() > v_until);
  end loop;
  begin
    select max(d.msg_id) into v_last_dead_letter
    from (select d.msg_id from pgmq.q_workflow_dlq d where d.msg_id > v_dead_letter order by d.msg_id limit c_chunk) d;
    if v_last_dead_letter is null and v_dead_letter > 0 then
      v_dead_letter := 0;
      select max(d.msg_id) into v_last_dead_letter from (select d.msg_id from pgmq.q_workflow_dlq d order by d.msg_id limit c_chunk) d;
    end if;
    if v_last_dead_letter is not null then
      v_total := v_total + (select count(*) from public.fw_mend_dead_letters(v_dead_letter, v_last_dead_letter));
    end if;
  exception when others then
    raise warning 'some dead letters could not be looked at (%): %', sqlstate, sqlerrm;
  end;
  update public.fw_jobs j set mend_after = v_after, mend_dead_letter = coalesce(v_last_dead_letter, 0)
  where j.name = 'process-workflow-queue' and (j.mend_after, j.mend_dead_letter) is distinct from (v_after, coalesce(v_last_dead_letter, 0));
  if v_first is not null then
    perform public.fw_give_notices('mended', array[null::uuid], array[v_first], array[format(
      'messages of the queue were taken away or moved by something else than the worker; %s things were mended, the first for this execution', v_total)]);
  end if;
  return v_total;
end
$$;
comment on function public.fw_mend_messages(interval) is
  'Internal: the part of the tick that mends what was done by hand in the queues: live executions whose message was deleted, archived or hidden, and dead letters that somebody has sent. Looks at the newest 2000 executions, and at as many others as it can within p_budget, going on in the next tick. A part that fails stops no other. Returns how many things were mended.';
