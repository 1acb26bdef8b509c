create or replace function public.fw_claim_organizations(
  p_executor_id uuid, p_workflows text[], p_live_workflows text[], p_organizations uuid[], p_floors timestamptz[], p_room integer,
  p_wait boolean, p_with_steps boolean
) returns table (
  batch_id uuid, organization_id uuid, lease_seconds integer, execution_id uuid, workflow_name text, workflow_version text,
  attempt integer, input jsonb, steps jsonb, compensating jsonb, is_resuming boolean
)
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
  v_now constant timestamptz := public.fw_now();
  -- A fleet in which executors know different workflows: look past what only the others know.
  v_mixed constant boolean := p_live_workflows <> p_workflows;
  v_places record;          -- by organization
  v_batch_ids uuid[];
  v_message_ids bigint[];   -- what was picked, a place for each message
  v_execution_ids uuid[];
  v_attempts text[];
  v_positions integer[];
  v_batches uuid[];
  v_vts timestamptz[];
  v_workflows text[];       -- with the timeouts of each
  v_timeouts interval[];
  v_picked integer;
  v_claimed integer;
  v_started_messages bigint[];   -- what was claimed of it
  v_started_positions integer[];
  v_started_batches uuid[];
  v_lease integer;
  v_messages bigint[];
  v_void text;
begin
  v_places := public.fw_reserve_places(p_organizations, p_floors, p_room, p_wait);
  if v_places.batches = 0 then
    return;
  end if;
  for v_batch in 1..v_places.batches loop
    v_batch_ids[v_batch] := public.fw_uuid();
  end loop;

  select array_agg(q.msg_id), array_agg(public.fw_to_uuid(q.execution_id)), array_agg(q.attempt), array_agg(o.position),
    array_agg(v_batch_ids[o.first_batch + (q.place - 1) / o.batch_size]), array_agg(q.vt)
  into v_message_ids, v_execution_ids, v_attempts, v_positions, v_batches, v_vts
  from unnest(v_places.organizations, v_places.floors, v_places.quotas, v_places.batch_sizes, v_places.first_batches)
    with ordinality as o (organization_id, floor, quota, batch_size, first_batch, position)
  cross join lateral (
    select q.*, row_number() over () as place
    from (
      select q.msg_id, q.vt,
        -- What is large is no message of ours, and is not looked into.
        case when pg_column_size(q.message) <= 32768 then q.message ->> 'execution_id' end as execution_id,
        case when pg_column_size(q.message) <= 32768 then left(q.message ->> 'attempt', 20) end as attempt
      from pgmq.q_workflow_execution_queue q
      where (q.message ->> 'organization_id') collate "C" = o.organization_id::text and q.vt <= v_now
        and q.vt >= o.floor
        and (not v_mixed or (q.message ->> 'workflow_name') is null or q.message ->> 'workflow_name' = any (p_workflows)
          or not (q.message ->> 'workflow_name' = any (p_live_workflows)))
      order by q.vt
      limit o.quota
      for update of q skip locked
    ) q
  ) q;

  select array_agg(w.name), array_agg(make_interval(mins => w.timeout_minutes)) into v_workflows, v_timeouts
  from public.fw_workflows w where w.name = any (p_workflows);
  return query
    update public.fw_workflow_executions e set
      status = 'running', batch_id = p.batch_id, started_at = coalesce(e.started_at, v_now), next_retry_at = null,
      deadline_at = coalesce(e.deadline_at, v_now + coalesce(e.deadline_left,
        v_timeouts[array_position(v_workflows, e.workflow_name)], interval '60 minutes'))
    from unnest(v_message_ids, v_execution_ids, v_attempts, v_positions, v_batches) as p (msg_id, id, attempt, position, batch_id)
    where e.id = p.id and e.msg_id = p.msg_id and e.organization_id = v_places.organizations[p.position]
      and e.status in ('queued', 'retry_pending', 'waiting') and e.workflow_name = any (p_workflows)
      and (e.retry_count + 1)::text = p.attempt
    returning p.batch_id, e.organization_id, v_places.leases[p.position], e.id, e.workflow_name, e.workflow_version, e.retry_count + 1,
      case when p_with_steps then e.input else public.fw_if_small(e.input) end,
      case when p_with_steps and e.started_at <> v_now then public.fw_resume_steps(e.id) end, e.compensating,
      not p_with_steps and case when e.started_at <> v_now and public.fw_end_waits(e.id) then true else public.fw_if_small(e.input) is null end;
  get diagnostics v_claimed = row_count;

  -- All that was picked, unless some of it could not simply run.
  v_picked := coalesce(cardinality(v_message_ids), 0);
  if v_claimed < v_picked then
    select array_agg(p.msg_id), array_agg(p.position), array_agg(p.batch_id) into v_started_messages, v_started_positions, v_started_batches
    from unnest(v_message_ids, v_execution_ids, v_positions, v_batches) as p (msg_id, id, position, batch_id)
    join public.fw_workflow_executions e on e.id = p.id and e.batch_id = p.batch_id and e.msg_id = p.msg_id;
  else
    v_started_messages := v_message_ids;
    v_started_positions := v_positions;
    v_started_batches := v_batches;
  end if;

  -- By lists of ids: looked up in the order of the index, they cost much less than a join.
  if cardinality(v_places.organizations) = 1 then
    update pgmq.q_workflow_execution_queue q set vt = v_now + make_interval(secs => v_places.leases[1]), read_ct = q.read_ct + 1
    where q.msg_id = any (v_started_messages);
  else
    for v_lease, v_messages in
      select v_places.leases[s.position], array_agg(s.msg_id)
      from unnest(v_started_messages, v_started_positions) as s (msg_id, position)
      group by 1
    loop
      update pgmq.q_workflow_execution_queue q set vt = v_now + make_interval(secs => v_lease), read_ct = q.read_ct + 1
      where q.msg_id = any (v_messages);
    end loop;
  end if;

  if v_places.batches = 1 and cardinality(v_places.organizations) = 1 then
    -- By far the most frequent: there is nothing to count, and the statements are cheap to start.
    if v_claimed > 0 then
      insert into public.fw_worker_runs
        (id, organization_id, executor_id, size, open, semaphore_epoch, semaphore_places, lease_seconds, lease_expires_at, taken_at)
      values (v_batch_ids[1], v_places.organizations[1], p_executor_id, v_claimed, v_claimed, v_places.epochs[1], v_places.places[1],
        v_places.leases[1], v_now + make_interval(secs => v_places.leases[1]), case when p_executor_id is not null then v_now end);
    end if;
    update public.fw_module_settings s set
      worker_running = s.worker_running or v_claimed > 0,
      worker_last_run_at = case when v_claimed > 0 then v_now else s.worker_last_run_at end,
      worker_last_batch_size = case when v_claimed > 0 then v_claimed else s.worker_last_batch_size end,
      worker_has_more = v_picked = v_places.quotas[1],
      worker_claim_floor = coalesce(v_vts[v_picked], s.worker_claim_floor)
    where s.organization_id = v_places.organizations[1] and (v_picked > 0 or s.worker_has_more);
  else
    with opened as (
      insert into public.fw_worker_runs
        (id, organization_id, executor_id, size, open, semaphore_epoch, semaphore_places, lease_seconds, lease_expires_at, taken_at)
      select s.batch_id, v_places.organizations[s.position], p_executor_id, count(*), count(*), v_places.epochs[s.position],
        v_places.places[s.position], v_places.leases[s.position], v_now + make_interval(secs => v_places.leases[s.position]),
        case when p_executor_id is not null then v_now end
      from unnest(v_started_positions, v_started_batches) as s (position, batch_id)
      group by s.batch_id, s.position
      returning organization_id, size
    ), tally as (
      -- By union, not by joins: their cost grows in line with the organizations. All batches of one but the last are full.
      select t.organization_id, max(t.quota) as quota, count(t.vt) as picked, max(t.vt) as last_vt, min(t.size) as last_size
      from (
        select o.organization_id, o.quota, null::timestamptz as vt, null::integer as size
        from unnest(v_places.organizations, v_places.quotas) as o (organization_id, quota)
        union all
        select v_places.organizations[p.position], null, p.vt, null from unnest(v_positions, v_vts) as p (position, vt)
        union all
        select r.organization_id, null, null, r.size from opened r
      ) t
      group by t.organization_id
    )
    update public.fw_module_settings s set
      worker_running = s.worker_running or t.last_size is not null,
      worker_last_run_at = case when t.last_size is not null then v_now else s.worker_last_run_at end,
      worker_last_batch_size = coalesce(t.last_size, s.worker_last_batch_size),
      worker_has_more = t.picked = t.quota,
      worker_claim_floor = coalesce(t.last_vt, s.worker_claim_floor)
    from tally t
    where s.organization_id = t.organization_id and t.quota > 0 and (t.picked > 0 or s.worker_has_more);
  end if;

  -- What cannot simply run (malformed, duplicate, finished, lost lease, redriven by hand ...) is settled here and now. It is
  -- what was picked and is still visible.
  if v_claimed < v_picked then
    v_void := public.fw_settle_messages(array(
      select q.msg_id from pgmq.q_workflow_execution_queue q where q.msg_id = any (v_message_ids) and q.vt <= v_now order by q.msg_id),
      p_live_workflows);
  end if;
end
$$;
comment on function public.fw_claim_organizations(uuid, text[], text[], uuid[], timestamptz[], integer, boolean, boolean) is
  'Internal: claims visible messages of these organizations, a batch each in turn up to p_room, and marks their executions as running. Starts at the floors given, or where there are none at those that the last claims have left. p_live_workflows are those that any live executor knows. p_wait: the caller holds no lock yet, so an organization may be waited for. p_with_steps: for an executor of an older version, to which all that was recorded is handed over; otherwise is_resuming says that fw_read_recorded has what was recorded, or a large input.';
