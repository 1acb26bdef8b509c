create or replace function public.fw_check_deadlines(p_most integer default 1000)
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
  v_job constant timestamptz := public.fw_job_started('workflow-timeout-watchdog');
  v_started uuid[];    -- executions that have been claimed at least once, and their messages
  v_messages bigint[];
  v_ids uuid[];
  v_actions text[];
  v_minutes integer[];
  v_organizations uuid[];
begin
  if v_job is null then
    return;
  end if;
  -- Only what has been claimed at least once has a deadline: the many that merely wait are passed over without a look at
  -- their executions. A statement of its own, so that no plan can begin with all executions that there ever were.
  select array_agg(public.fw_to_uuid(q.message ->> 'execution_id')), array_agg(q.msg_id) into v_started, v_messages
  from pgmq.q_workflow_execution_queue q where q.read_ct > 0;
  select array_agg(l.id), array_agg(l.action), array_agg(l.minutes) into v_ids, v_actions, v_minutes
  from (
    select e.id, coalesce(w.on_timeout, 'fail') as action, coalesce(w.timeout_minutes, 60) as minutes
    from unnest(v_started, v_messages) as q (id, msg_id)
    join public.fw_workflow_executions e on e.id = q.id and e.msg_id = q.msg_id
    left join public.fw_workflows w on w.name = e.workflow_name
    where e.deadline_at <= public.fw_now() and e.status in ('queued', 'running', 'retry_pending')
    limit p_most
  ) l;
  if v_ids is not null then
    return query
      with ended as materialized (
        select * from public.fw_end_executions(
          v_ids,
          array(select case a.action when 'cancel' then 'cancelled' else 'timed_out' end::public.fw_execution_status from unnest(v_actions) as a (action)),
          array(select format('the deadline passed before the execution had finished (timeout %s minutes)', m.minutes) from unnest(v_minutes) as m (minutes)),
          array_fill('TIMEOUT'::text, array[cardinality(v_ids)]),
          array(select a.action = 'fail' from unnest(v_actions) as a (action)),
          true)
      ), escalated as (
        select array_agg(e.organization_id) as organizations, array_agg(e.execution_id) as executions
        from ended e where v_actions[array_position(v_ids, e.execution_id)] = 'escalate'
      ), told as (
        select public.fw_give_notices('timed_out', x.organizations, x.executions, array_fill(
          'an execution missed its deadline and was ended as timed_out'::text, array[cardinality(x.executions)]))
        from escalated x where x.executions is not null
      )
      select e.execution_id, e.organization_id, v_actions[array_position(v_ids, e.execution_id)]
      from ended e left join told on true;
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
  perform public.fw_job_done('workflow-timeout-watchdog', v_job);
end
$$;
comment on function public.fw_check_deadlines(integer) is
  'The timeout watchdog: ends executions whose deadline has passed, as their workflow says (fail: timed_out and dead-lettered; cancel: cancelled; escalate: timed_out, with a notice), and warns once of those that are near. At most p_most of each in a call. Returns what it did.';
