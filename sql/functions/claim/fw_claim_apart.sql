create or replace function public.fw_claim_apart(
  p_executor_id uuid, p_workflows text[], p_live_workflows text[], p_organizations uuid[], p_floors timestamptz[], p_room integer,
  p_with_steps boolean
) returns table (
  batch_id uuid, organization_id uuid, lease_seconds integer, execution_id uuid, workflow_name text, workflow_version text,
  attempt integer, input jsonb, steps jsonb, compensating jsonb, is_resuming boolean
)
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '50ms'
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_count constant integer := cardinality(p_organizations);
  v_half constant integer := v_count / 2;
  v_claimed integer;
  v_message bigint;
  v_vt timestamptz;
  v_state text;
  v_reason text;
begin
  if v_count = 0 or p_room = 0 then
    return;
  end if;
  if v_count = 1 and p_room = 1 then
    -- Locked here, so it is the one that the claim takes.
    select q.msg_id, q.vt into v_message, v_vt
    from pgmq.q_workflow_execution_queue q
    where (q.message ->> 'organization_id') collate "C" = p_organizations[1]::text and q.vt <= public.fw_now()
      and q.vt >= coalesce(p_floors[1], '-infinity')
      and (p_live_workflows = p_workflows or (q.message ->> 'workflow_name') is null or q.message ->> 'workflow_name' = any (p_workflows)
        or not (q.message ->> 'workflow_name' = any (p_live_workflows)))
    order by q.vt limit 1
    for update of q skip locked;
    if v_message is null then
      return;
    end if;
  end if;
  begin
    return query select * from public.fw_claim_organizations(p_executor_id, p_workflows, p_live_workflows, p_organizations,
      case when v_message is null then p_floors else array[v_vt] end, p_room, false, p_with_steps);
    return;
  exception when lock_not_available then
    -- Somebody holds an execution of these: its message is passed by for a while.
    v_state := null;
  when data_exception or integrity_constraint_violation or program_limit_exceeded or out_of_memory or internal_error or raise_exception then
    get stacked diagnostics v_state = returned_sqlstate, v_reason = message_text;
  end;
  if v_state is null then
    perform public.fw_pass_by_locked(p_organizations, p_floors, p_room);
    begin
      return query select * from public.fw_claim_organizations(p_executor_id, p_workflows, p_live_workflows, p_organizations,
        case when v_message is null then p_floors else array[v_vt] end, p_room, false, p_with_steps);
    exception when lock_not_available then
      return;
    end;
  elsif v_message is not null then
    perform public.fw_set_aside(v_message, v_state, v_reason);
  elsif v_count = 1 then
    return query select * from public.fw_claim_apart(
      p_executor_id, p_workflows, p_live_workflows, p_organizations, p_floors, p_room / 2, p_with_steps);
    -- What was claimed, or set aside, is not visible any more.
    return query select * from public.fw_claim_apart(
      p_executor_id, p_workflows, p_live_workflows, p_organizations, p_floors, p_room - p_room / 2, p_with_steps);
  else
    return query select * from public.fw_claim_apart(
      p_executor_id, p_workflows, p_live_workflows, p_organizations[:v_half], p_floors[:v_half], p_room, p_with_steps);
    get diagnostics v_claimed = row_count;
    return query select * from public.fw_claim_apart(
      p_executor_id, p_workflows, p_live_workflows, p_organizations[v_half + 1:], p_floors[v_half + 1:], p_room - v_claimed, p_with_steps);
  end if;
end
$$;
comment on function public.fw_claim_apart(uuid, text[], text[], uuid[], timestamptz[], integer, boolean) is
  'Internal: claims as fw_claim_organizations does. Where that fails for the data of a message it is tried with half of the organizations, then with each half of the room, until the message at fault stands alone, which is set aside. Where somebody holds an execution it is passed by for a while.';
