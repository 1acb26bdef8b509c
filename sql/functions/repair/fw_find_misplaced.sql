create or replace function public.fw_find_misplaced(p_execution_ids uuid[]) returns table (
  execution_id uuid, organization_id uuid, status public.fw_execution_status, msg_id bigint, is_missing boolean, vt timestamptz, due_at timestamptz
)
language sql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
  -- Claims, parking and what is set aside may move a message by up to a minute, or an hour, of which a notice tells. Anything later than
  -- that was moved by somebody else.
  select e.id, e.organization_id, e.status, e.msg_id, q.vt is null, q.vt, d.due_at
  from public.fw_workflow_executions e
  left join lateral (
    select q.vt from pgmq.q_workflow_execution_queue q
    -- A message of another execution, whose number was given twice, is none.
    where q.msg_id = e.msg_id and pg_column_size(q.message) <= 32768 and public.fw_to_uuid(q.message ->> 'execution_id') = e.id
  ) q on true
  cross join lateral (
    select case e.status
      when 'running' then coalesce((select r.lease_expires_at from public.fw_worker_runs r where r.id = e.batch_id and r.finished_at is null), public.fw_now())
      when 'retry_pending' then coalesce(e.next_retry_at, public.fw_now())
      when 'waiting' then (
        -- Now when nothing is waited for, or something is over that no run has seen; else when the first wait is over.
        select case when coalesce(bool_or(s.status = 'waiting'), false) and not coalesce(bool_or(s.status <> 'waiting'), false)
          then min(coalesce(s.wake_at, 'infinity')) else public.fw_now() end
        from public.fw_execution_steps s
        where s.execution_id = any (array[e.id]) and (s.status = 'waiting'
          or (s.status in ('completed', 'skipped', 'failed') and s.asked is not null and coalesce(s.seen_order, -1) = -1
            and (s.wake_at is not null or s.event_key is not null or s.child_id is not null)
            and (s.wait_group is null or (
              select true from public.fw_execution_steps other
              where other.execution_id = s.execution_id and other.wait_group = s.wait_group and other.status = 'waiting' limit 1) is null))))
      else case
        when e.compensating is not null then public.fw_now()
        -- A child of a map that is full waits until another one has finished.
        when e.parent_id is not null and exists (
          select from public.fw_execution_steps s
          where s.execution_id = any (array[e.parent_id]) and s.node_id = e.parent_step and s.child_id = e.id and s.status = 'waiting' and s.is_held)
        then timestamptz 'infinity'
        when e.not_before is null or e.not_before < 'infinity' then coalesce(e.not_before, public.fw_now())
        when q.vt is null then coalesce((select a.vt from pgmq.a_workflow_execution_queue a where a.msg_id = e.msg_id), public.fw_now())
        else timestamptz 'infinity' end
      end as due_at
  ) d
  where e.id = any (p_execution_ids) and e.status in ('queued', 'running', 'waiting', 'retry_pending')
    and (q.vt is null or (q.vt > greatest(d.due_at, public.fw_now()) + interval '2 minutes' and not exists (
      select from public.fw_notices n
      where n.kind = 'set_aside' and n.organization_id = e.organization_id and n.execution_id = e.id and n.created_at > public.fw_now() - interval '1 hour')))
$$;
comment on function public.fw_find_misplaced(uuid[]) is
  'Internal: those of these executions that are live and whose message in workflow_execution_queue is missing, or invisible for longer than it should be: since when on it should be visible (due_at).';
