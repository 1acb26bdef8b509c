create or replace function public.fw_end_late(p_most integer, p_without uuid[])
returns table (execution_id uuid, organization_id uuid, outcome text)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_started uuid[];    -- executions that have been claimed at least once, and their messages
  v_messages bigint[];
  v_ids uuid[];
  v_actions text[];
  v_statuses public.fw_execution_status[];
  v_reasons text[];
  v_categories text[];
  v_turn_back boolean[];
  v_items uuid[];      -- and what works for them: a place for each pair
  v_late uuid[];
  v_outcomes text[];
  v_organizations uuid[];
begin
  -- Only what has been claimed, and has not begun to wait since, has a deadline: the many that wait for a turn, a time or an event
  -- are passed over without a look at their executions. A statement of its own, so that no plan can begin with all executions
  -- that there ever were.
  select array_agg(public.fw_to_uuid(q.message ->> 'execution_id')), array_agg(q.msg_id) into v_started, v_messages
  from pgmq.q_workflow_execution_queue q where q.read_ct > 0;
  -- The compensations of one that was turned back have a deadline of their own: with that it ends for good, as was decided then.
  select array_agg(l.id), array_agg(l.action),
    array_agg(coalesce(l.compensating ->> 'status', case l.action when 'cancel' then 'cancelled' else 'timed_out' end)::public.fw_execution_status),
    array_agg(coalesce((l.compensating ->> 'error') || '; its compensation did not finish: ', '') || l.reason),
    array_agg(case when l.compensating is null then 'TIMEOUT' else l.compensating ->> 'category' end),
    array_agg(l.compensating is null and l.is_undone_first)
  into v_ids, v_actions, v_statuses, v_reasons, v_categories, v_turn_back
  from (
    select e.id, e.compensating, coalesce(w.compensate_on_timeout, true) as is_undone_first,
      case when e.compensating is null then coalesce(w.on_timeout, 'fail') when e.compensating ->> 'status' = 'cancelled' then 'cancel'
        when coalesce((e.compensating ->> 'dead_letter')::boolean, true) then 'fail' else 'escalate' end as action,
      format('the deadline passed before the execution had finished (timeout %s minutes)', coalesce(w.timeout_minutes, 60)) as reason
    from unnest(v_started, v_messages) as q (id, msg_id)
    join public.fw_workflow_executions e on e.id = q.id and e.msg_id = q.msg_id
    left join public.fw_workflows w on w.name = e.workflow_name
    where e.deadline_at <= public.fw_now() and e.status in ('queued', 'running', 'retry_pending') and e.id <> all (p_without)
    order by e.deadline_at, e.id
    limit p_most
  ) l;
  if v_ids is not null then
    -- What works for one that is late ends with it. One that is late itself ends for that reason first, as its workflow says.
    select array_agg(i.id), array_agg(i.late_id), array_agg(i.action), array_agg(i.status), array_agg(i.reason), array_agg(i.category), array_agg(i.turn_back)
    into v_items, v_late, v_outcomes, v_statuses, v_reasons, v_categories, v_turn_back
    from (
      select 1 as rank, l.id, l.id as late_id, l.action, l.status, l.reason, l.category, l.turn_back
      from unnest(v_ids, v_actions, v_statuses, v_reasons, v_categories, v_turn_back) as l (id, action, status, reason, category, turn_back)
      union all
      -- Looked up one by one: a join could be planned to begin with all executions that there are.
      select 2, d.id, l.id, 'cancelled', 'cancelled', 'cancelled: the execution that invoked it missed its deadline', null, (
        select e.compensating is not null or coalesce((select w.compensate_on_timeout from public.fw_workflows w where w.name = e.workflow_name), true)
        from public.fw_workflow_executions e where e.id = d.id)
      from unnest(v_ids) as l (id) cross join lateral public.fw_descendants(array[l.id]) as d (id)
      order by rank
    ) i;
    return query
      with ended as materialized (
        select e.execution_id, e.organization_id, v_outcomes[e.place] as outcome, e.is_turned_back from public.fw_end_executions(
          v_items, v_statuses, v_reasons, v_categories, array(select o.outcome = 'fail' from unnest(v_outcomes) as o (outcome)), v_late, v_turn_back) e
      ), escalated as (
        select array_agg(e.organization_id) as organizations, array_agg(e.execution_id) as executions,
          array_agg(case when e.is_turned_back then 'an execution missed its deadline; once its compensations have run it ends as timed_out'
            else 'an execution missed its deadline and was ended as timed_out' end) as messages
        from ended e where e.outcome = 'escalate'
      ), told as (
        select public.fw_give_notices('timed_out', x.organizations, x.executions, x.messages)
        from escalated x where x.executions is not null
      )
      select e.execution_id, e.organization_id, e.outcome from ended e left join told on true;
  end if;

  with near as (
    select e.id
    from unnest(v_started, v_messages) as q (id, msg_id)
    join public.fw_workflow_executions e on e.id = q.id and e.msg_id = q.msg_id
    left join public.fw_workflows w on w.name = e.workflow_name
    where e.deadline_at > public.fw_now() and e.deadline_warned_at is null and e.status in ('queued', 'running', 'retry_pending')
      and e.deadline_at - public.fw_now() <= make_interval(mins => coalesce(w.timeout_minutes, 60)) * (100 - coalesce(w.warn_percent, 80)) / 100
    limit p_most
    -- What a claim or a report is writing just now is warned of next time.
    for no key update of e skip locked
  ), warned as (
    update public.fw_workflow_executions e set deadline_warned_at = public.fw_now() from near where e.id = near.id
    returning e.id, e.organization_id, e.deadline_at
  )
  select array_agg(w.id), array_agg(w.organization_id),
    array_agg(format('an execution has until %s to finish', to_char(w.deadline_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')))
  into v_ids, v_organizations, v_actions
  from warned w;
  if v_ids is not null then
    perform public.fw_give_notices('deadline_near', v_organizations, v_ids, v_actions);
    return query select n.id, n.organization_id, 'warned'::text from unnest(v_ids, v_organizations) as n (id, organization_id);
  end if;
end
$$;
comment on function public.fw_end_late(integer, uuid[]) is
  'Internal: the work of fw_check_deadlines: ends up to p_most executions whose deadline has passed, the latest of all first, and warns of as many that are near. Leaves those of p_without alone.';
