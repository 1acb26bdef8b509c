create or replace function public.fw_end_waits(p_execution_id uuid) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  -- It is undone: what the handler has not seen by now it does not see any more.
  v_is_compensating constant boolean := exists (select from public.fw_workflow_executions e where e.id = p_execution_id and e.compensating is not null);
  v_void text;
begin
  -- The caller holds the lock of the message, as an event that arrives would have to: a wait whose time is up has ended here
  -- and now, and no later event changes that.
  update public.fw_execution_steps s set
    status = case when s.event_key is null then public.fw_step_status 'completed' else 'skipped' end, completed_at = public.fw_now()
  where s.execution_id = p_execution_id and s.status = 'waiting' and s.wake_at <= public.fw_now();
  -- The run that begins sees these waits over for the first time: from now on they have their place, after all that was seen
  -- before, in the order in which they were over. A map has been seen when all of it is over.
  update public.fw_execution_steps s set seen_order = case when s.seen_order = -1 then -2 - n.seen_order else n.seen_order end
  from (
    select w.node_id, row_number() over (order by w.over_at, w.step_index) + (
      select max(case when known.asked is not null and known.seen_order is null and (known.wake_at is not null or known.event_key is not null or known.child_id is not null)
        then -1 else coalesce(greatest(known.seen_order, -2 - known.seen_order), known.step_index) end)
      from public.fw_execution_steps known where known.execution_id = p_execution_id) as seen_order
    from (
      select s.node_id, s.step_index,
        case when s.status = 'skipped' or (s.event_key is null and s.child_id is null) then s.wake_at else s.completed_at end as over_at
      from public.fw_execution_steps s
      where not v_is_compensating and s.execution_id = p_execution_id and s.asked is not null and coalesce(s.seen_order, -1) = -1 and s.status in ('completed', 'skipped', 'failed')
        and (s.wake_at is not null or s.event_key is not null or s.child_id is not null)
        and (s.wait_group is null or not exists (
          select from public.fw_execution_steps other
          where other.execution_id = p_execution_id and other.wait_group = s.wait_group and other.status = 'waiting'))
    ) w
  ) n
  where s.execution_id = p_execution_id and s.node_id = n.node_id;
  if found then
    -- What the run does follows from this order, so it must not be lost in a crash; a claim otherwise may.
    v_void := set_config('synchronous_commit', 'on', true);
  end if;
  return exists (select from public.fw_execution_steps s where s.execution_id = p_execution_id);
end
$$;
comment on function public.fw_end_waits(uuid) is
  'Internal: of an execution that is claimed again, ends the waits whose time is up, and gives waits that are over their place in the order in which the handler sees results. Returns whether anything was recorded of it.';
