create or replace function public.fw_claim_batches(
  p_executor_id uuid, p_room integer, p_organizations uuid[] default '{}', p_apart boolean default false
) returns table (
  batch_id uuid, organization_id uuid, lease_seconds integer, execution_id uuid, workflow_name text, workflow_version text,
  attempt integer, input jsonb, steps jsonb, compensating jsonb, is_resuming boolean
)
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '250ms'
as $$
#variable_conflict use_column
declare
  c_most_rescans constant integer := 8;
  c_most_room constant integer := 1000000;
  c_waited constant interval := '90 ms';           -- who waits for an organization in vain waits longer
  c_no_wait constant interval := '5 seconds';
  c_rescan_pause constant interval := '20 ms';
  c_newest_with_steps constant integer := 3;   -- version of the SQL API that an executor speaks
  v_executor record;
  v_with_steps boolean;
  v_room integer;
  v_cursor text;
  v_next text;
  v_hints uuid[] := coalesce(p_organizations, '{}');
  v_rescan boolean;
  v_walk_started timestamptz;
  v_walk interval;
  v_live_workflows text[];
  v_organizations uuid[];
  v_floors timestamptz[];   -- NULL: where the last claims ended
  v_is_all boolean;
  v_first uuid;             -- the organization that the first rescan began with
  v_is_round boolean;       -- every organization has had its turn
  v_claimed integer;
  v_claim_started timestamptz;
  v_may_wait boolean;       -- for an organization that another claim serves: not soon again where somebody holds one for long
  v_rescans integer := 0;
  v_settled boolean := false;
  v_void text;
begin
  if p_room is null or p_room < 0 then
    raise invalid_parameter_value using
      message = format('the room is %s', coalesce(p_room::text, 'NULL')), hint = 'Pass how many executions the executor can take, 0 for none.';
  end if;
  p_room := least(p_room, c_most_room);
  v_room := p_room;
  -- A claim that a crash loses is a claim that never was, so it need not wait for the disk.
  v_void := set_config('synchronous_commit', 'off', true);
  select x.*, exists (
      select from public.fw_executors other
      where other.workflows <> x.workflows and other.stopped_at is null and other.last_seen_at > public.fw_now() - interval '30 seconds'
    ) as is_mixed
  into v_executor from public.fw_executors x where x.id = p_executor_id and x.stopped_at is null;
  if not found then
    raise exception using errcode = 'FW002',
      message = format('executor %s is not registered, or has stopped', p_executor_id),
      hint = 'Call fw_register_executor and use the id that it returns.';
  end if;

  -- An executor that is paused says that it has room, so that the end of the pause wakes it.
  if v_executor.is_paused then
    return;
  end if;
  v_live_workflows := case when v_executor.is_mixed then public.fw_live_workflows() else v_executor.workflows end;
  v_with_steps := v_executor.api_version <= c_newest_with_steps;
  v_cursor := v_executor.claim_cursor;
  v_may_wait := clock_timestamp() >= v_executor.waited_in_vain_at + c_no_wait;
  -- A rescan walks over every organization with waiting work, from its oldest message. It may meet many dead index entries
  -- while another transaction holds the xmin horizon, so it is spaced by 20 times what it cost while known organizations
  -- fill the room, and by twice that when they do not and it was slow.
  v_rescan := cardinality(v_hints) = 0
    and clock_timestamp() >= v_executor.rescanned_at + greatest(c_rescan_pause, 20 * v_executor.rescan_cost);
  while v_room > 0 loop
    v_walk_started := clock_timestamp();
    v_claimed := 0;
    if cardinality(v_hints) > 0 then
      v_organizations := v_hints;
      v_is_round := true;
    else
      select n.organizations, n.floors, n.is_all, n.cursor into v_organizations, v_floors, v_is_all, v_next
      from public.fw_next_organizations(v_cursor, v_room, v_rescan) n;
      v_walk := clock_timestamp() - v_walk_started;
      v_is_round := v_is_all;
      if v_rescan then
        v_is_round := v_is_all or coalesce(v_first = any (v_organizations), false) or v_rescans = c_most_rescans - 1;
        v_first := coalesce(v_first, v_organizations[1]);
      end if;
    end if;
    if cardinality(v_organizations) > 0 then
      if p_apart then
        return query select * from public.fw_claim_apart(
          p_executor_id, v_executor.workflows, v_live_workflows, v_organizations, v_floors, v_room, v_with_steps);
      else
        v_claim_started := clock_timestamp();
        return query select * from public.fw_claim_organizations(p_executor_id, v_executor.workflows, v_live_workflows, v_organizations, v_floors,
          v_room, v_may_wait and v_is_round and v_room = p_room, v_with_steps);
      end if;
      get diagnostics v_claimed = row_count;
      v_room := v_room - v_claimed;
      if v_claimed = 0 and v_may_wait and clock_timestamp() >= v_claim_started + c_waited then
        v_may_wait := false;
        v_executor.waited_in_vain_at := clock_timestamp();
      end if;
    end if;
    if cardinality(v_hints) > 0 then
      -- Hinted work is handed over at once, for the executor asks again when it has room, but a rescan is not put off for long.
      exit when v_claimed > 0 and clock_timestamp() < v_executor.rescanned_at + interval '1 second';
      v_hints := '{}';
      v_rescan := v_claimed > 0;
      continue;
    end if;
    v_cursor := v_next;
    if v_rescan then
      if v_rescans = 0 then
        v_executor.stray_cursor := public.fw_settle_strays(v_executor.stray_cursor);
      end if;
      v_executor.rescanned_at := clock_timestamp();
      v_executor.rescan_cost := v_walk;
      v_rescans := v_rescans + 1;
      -- Again while there are organizations left: those seen may have had less than a batch each, or be served by another
      -- claim. Also after one that brought nothing though messages were visible: these have been settled, so some may be
      -- claimed now.
      exit when (v_is_all and cardinality(v_organizations) = 0) or v_rescans = c_most_rescans or (v_is_round and (v_claimed > 0 or v_settled));
      v_settled := v_claimed = 0 and v_is_round;
      continue;
    end if;
    v_rescan := true;
    -- wants_work: the last claim left room, so it had found all there was.
    exit when (v_claimed > 0 and v_executor.wants_work and clock_timestamp() < v_executor.rescanned_at + c_rescan_pause)
      or (v_executor.rescan_cost > interval '20 ms' and clock_timestamp() < v_executor.rescanned_at + 2 * v_executor.rescan_cost);
  end loop;

  if v_rescans > 0 or v_cursor <> v_executor.claim_cursor or v_executor.wants_work <> (v_room > 0)
    or v_executor.last_seen_at < public.fw_now() - interval '1 second'
  then
    update public.fw_executors x set last_seen_at = public.fw_now(), wants_work = v_room > 0, claim_cursor = v_cursor,
      rescanned_at = v_executor.rescanned_at, rescan_cost = v_executor.rescan_cost, stray_cursor = v_executor.stray_cursor,
      waited_in_vain_at = v_executor.waited_in_vain_at
    where x.id = p_executor_id;
  end if;
end
$$;
comment on function public.fw_claim_batches(uuid, integer, uuid[], boolean) is
  'Claims up to p_room executions for an executor, a batch for each organization in turn, and hands them over: one row an execution, with its batch (the fencing token), its attempt, its input, and whether it is to be compensated. Where is_resuming is true, fw_read_recorded has what was recorded of it, and an input that is too large to be handed over here. (Executors of older versions are handed all of it; steps is NULL for others.) p_organizations are those that a NOTIFY has named. p_apart is for the call after one that failed with an error of its data: what fails then is set aside alone.';
