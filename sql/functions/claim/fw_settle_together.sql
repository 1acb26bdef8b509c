create or replace function public.fw_settle_together(p_message_ids bigint[], p_live_workflows text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_rejected bigint[];
  v_reasons text[];
  v_dropped bigint[];
  v_linked bigint[];
  v_adopted bigint[];
  v_deferred bigint[];
  v_hidden bigint[];
  v_lost uuid[];
begin
  with seen as (
    select q.msg_id, q.message, q.is_large, jsonb_typeof(q.message) = 'object' as is_object, e.id, e.status, e.workflow_name, e.retry_count,
      e.msg_id = q.msg_id as is_linked,
      e.organization_id::text = q.message ->> 'organization_id' as is_own,
      e.status in ('queued', 'retry_pending', 'waiting', 'running')
        and exists (select from pgmq.q_workflow_execution_queue other where other.msg_id = e.msg_id) as is_live,
      public.fw_run_holds_lease(e.batch_id) as holds_lease
    from unnest(p_message_ids) as m (msg_id)
    -- What is large is no message of ours, and is not looked into.
    cross join lateral (
      select q.msg_id, pg_column_size(q.message) > 32768 as is_large, case when pg_column_size(q.message) <= 32768 then q.message end as message
      from pgmq.q_workflow_execution_queue q where q.msg_id = m.msg_id
    ) q
    left join public.fw_workflow_executions e on e.id = public.fw_to_uuid(q.message ->> 'execution_id')
  ), judged as (
    select s.*, case
      when s.is_large then format('the message takes up more than %s bytes', 32768)
      when s.is_object is not true then 'the message is not a JSON object'
      when s.message ->> 'execution_id' is null then 'the message has no execution_id'
      when public.fw_to_uuid(s.message ->> 'execution_id') is null then format('execution_id %L is not a uuid', left(s.message ->> 'execution_id', 100))
      when s.message ->> 'organization_id' is null then 'the message has no organization_id'
      when s.id is null then format('there is no execution %s', left(s.message ->> 'execution_id', 100))
      when not s.is_own then format('execution %s does not belong to organization %s', s.id, left(s.message ->> 'organization_id', 100))
    end as reason
    from seen s
  ), ruled as (
    select j.*, case
      when j.reason is not null then 'reject'
      when j.status in ('completed', 'cancelled') then 'drop'
      when j.is_live and not j.is_linked then 'drop'
      when j.status = 'running' and not j.is_linked then 'adopt'
      when j.status = 'running' then case when j.holds_lease then 'hide' else 'lost' end
      when j.workflow_name <> all (p_live_workflows) then 'defer'
      when not j.is_linked or j.message -> 'attempt' is distinct from to_jsonb(j.retry_count + 1) then 'link'
    end as ruling
    from judged j
  )
  select array_agg(r.msg_id) filter (where r.ruling = 'reject'), array_agg(r.reason) filter (where r.ruling = 'reject'),
    array_agg(r.msg_id) filter (where r.ruling = 'drop'), array_agg(r.msg_id) filter (where r.ruling = 'link'),
    array_agg(r.msg_id) filter (where r.ruling = 'adopt'), array_agg(r.msg_id) filter (where r.ruling = 'defer'), array_agg(r.msg_id) filter (where r.ruling = 'hide'),
    array_agg(r.id order by r.id) filter (where r.ruling = 'lost')
  into v_rejected, v_reasons, v_dropped, v_linked, v_adopted, v_deferred, v_hidden, v_lost
  from ruled r;

  if v_rejected is not null then
    perform public.fw_reject_messages(v_rejected, v_reasons);
  end if;
  if v_dropped is not null then
    delete from pgmq.q_workflow_execution_queue q where q.msg_id = any (v_dropped);
  end if;
  if v_linked is not null then
    perform public.fw_link_messages(v_linked);
  end if;
  if v_adopted is not null then
    -- The message of a running execution was deleted by hand; this one stands for it from now on.
    with adopted as (
      update pgmq.q_workflow_execution_queue q set read_ct = greatest(q.read_ct, 1),
        message = q.message || jsonb_build_object('workflow_name', e.workflow_name, 'attempt', e.retry_count + 1)
      from public.fw_workflow_executions e
      where q.msg_id = any (v_adopted) and e.id = public.fw_to_uuid(q.message ->> 'execution_id')
      returning e.id, q.msg_id
    )
    update public.fw_workflow_executions e set msg_id = a.msg_id
    from (select a.id, min(a.msg_id) as msg_id from adopted a group by a.id) a
    where e.id = a.id;
  end if;
  if v_deferred is not null then
    -- Left for later: no live executor knows the workflow. It costs no attempt. As long again as the execution has waited, so that
    -- what came shortly before its first executor is soon found, and what nobody may ever run is seldom looked at.
    update pgmq.q_workflow_execution_queue q
    set vt = public.fw_now() + least(greatest(public.fw_now() - e.created_at, interval '1 second'), interval '60 seconds')
    from public.fw_workflow_executions e
    where q.msg_id = any (v_deferred) and e.id = public.fw_to_uuid(q.message ->> 'execution_id');
  end if;
  if v_hidden is not null then
    update pgmq.q_workflow_execution_queue q set vt = r.lease_expires_at
    from public.fw_workflow_executions e join public.fw_worker_runs r on r.id = e.batch_id
    where q.msg_id = any (v_hidden) and e.id = public.fw_to_uuid(q.message ->> 'execution_id');
  end if;
  if v_lost is not null then
    perform public.fw_reap_lost_leases(v_lost);
  end if;
end
$$;
comment on function public.fw_settle_together(bigint[], text[]) is
  'Internal: gives each of these messages, which the caller has locked, the outcome that it is due when it cannot simply run. Malformed, unknown or foreign: to the dead letters with the reason. Duplicate, or its execution completed or cancelled: dropped. Redriven by hand: its execution is revived. Running with a live lease: hidden until that ends. Lost lease: a failed attempt. Workflow unknown to every live executor: left for as long again as the execution has waited since it was enqueued, between a second and a minute.';
