create or replace function public.fw_claim_organizations(
  p_executor_id uuid, p_workflows text[], p_organizations uuid[], p_room integer, p_from_start boolean, p_wait boolean
) returns table (
  batch_id uuid, organization_id uuid, lease_seconds integer, execution_id uuid, workflow_name text, workflow_version text,
  attempt integer, input jsonb, steps jsonb
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
  v_now constant timestamptz := now();
  -- A fleet in which executors know different workflows: look past what only the others know.
  v_mixed constant boolean := exists (
    select from public.fw_executors x
    where x.workflows <> p_workflows and x.stopped_at is null and x.last_seen_at > v_now - interval '30 seconds');
  v_live text[] := p_workflows;
  v_organizations uuid[];   -- those that have places, in the order they are served
  v_floors timestamptz[];
  v_quotas integer[];
  v_batch_sizes integer[];
  v_leases integer[];
  v_epochs bigint[];
  v_places integer[];
  v_message_ids bigint[];   -- what was picked, a place for each message
  v_execution_ids uuid[];
  v_attempts text[];
  v_positions integer[];
  v_batches integer[];
  v_batch_ids uuid[];
  v_picked integer[];       -- by organization: messages picked, and the visibility time of the last one
  v_last_vts timestamptz[];
  v_claimed integer := 0;
begin
  if v_mixed then
    v_live := public.fw_live_workflows();
  end if;

  select array_agg(r.organization_id), array_agg(case when p_from_start then '-infinity' else r.claim_floor end),
    array_agg(r.batch_size), array_agg(r.lease_seconds), array_agg(r.epoch), array_agg(r.places), array_agg(r.quota)
  into v_organizations, v_floors, v_batch_sizes, v_leases, v_epochs, v_places, v_quotas
  from public.fw_reserve_places(p_organizations, p_room, p_wait) r;
  if v_organizations is null then
    return;
  end if;

  with picked as materialized (
    select o.position, o.batch_size, q.*
    from unnest(v_organizations, v_floors, v_quotas, v_batch_sizes) with ordinality
      as o (organization_id, floor, quota, batch_size, position)
    cross join lateral (
      select q.msg_id, q.vt, q.message ->> 'execution_id' as execution_id, q.message ->> 'attempt' as attempt
      from pgmq.q_workflow_execution_queue q
      where (q.message ->> 'organization_id') collate "C" = o.organization_id::text and q.vt >= o.floor and q.vt <= v_now
        and (not v_mixed or (q.message ->> 'workflow_name') is null or q.message ->> 'workflow_name' = any (p_workflows)
          or not (q.message ->> 'workflow_name' = any (v_live)))
      order by q.vt
      limit o.quota
      for update of q skip locked
    ) q
  ), chunked as (
    select p.*, (row_number() over (partition by p.position order by p.vt, p.msg_id) - 1) / p.batch_size as chunk
    from picked p
  ), batched as (
    select c.*, dense_rank() over (order by c.position, c.chunk) as batch from chunked c
  )
  select
    (select array_agg(coalesce(p.picked, 0) order by o.position) from generate_subscripts(v_organizations, 1) as o (position)
      left join (select p.position, count(*) as picked from picked p group by p.position) p using (position)),
    (select array_agg(p.last_vt order by o.position) from generate_subscripts(v_organizations, 1) as o (position)
      left join (select p.position, max(p.vt) as last_vt from picked p group by p.position) p using (position)),
    array_agg(b.msg_id), array_agg(public.fw_to_uuid(b.execution_id)), array_agg(b.attempt), array_agg(b.position),
    array_agg(b.batch), array(select public.fw_uuid() from generate_series(1, max(b.batch)))
  into v_picked, v_last_vts, v_message_ids, v_execution_ids, v_attempts, v_positions, v_batches, v_batch_ids
  from batched b;

  return query
    with started as (
      update public.fw_workflow_executions e set
        status = 'running', batch_id = v_batch_ids[p.batch], started_at = coalesce(e.started_at, v_now), next_retry_at = null
      from unnest(v_message_ids, v_execution_ids, v_attempts, v_positions, v_batches) as p (msg_id, id, attempt, position, batch)
      where e.id = p.id and e.msg_id = p.msg_id and e.organization_id = v_organizations[p.position]
        and e.status in ('queued', 'retry_pending', 'waiting') and e.workflow_name = any (p_workflows)
        and (e.retry_count + 1)::text = p.attempt
      returning p.position, p.msg_id, e.batch_id, e.organization_id, e.id, e.workflow_name, e.workflow_version, e.retry_count,
        e.input, e.started_at
    ), hidden as (
      update pgmq.q_workflow_execution_queue q set vt = v_now + make_interval(secs => v_leases[s.position]), read_ct = q.read_ct + 1
      from started s
      where q.msg_id = s.msg_id
    ), opened as (
      insert into public.fw_worker_runs
        (id, organization_id, executor_id, size, open, semaphore_epoch, semaphore_places, lease_seconds, lease_expires_at, taken_at)
      select s.batch_id, s.organization_id, p_executor_id, count(*), count(*), v_epochs[s.position], v_places[s.position],
        v_leases[s.position], v_now + make_interval(secs => v_leases[s.position]), case when p_executor_id is not null then v_now end
      from started s
      group by s.batch_id, s.organization_id, s.position
      returning id, organization_id, size
    ), noted as (
      update public.fw_module_settings s set
        worker_running = s.worker_running or b.last_size is not null,
        worker_last_run_at = case when b.last_size is not null then v_now else s.worker_last_run_at end,
        worker_last_batch_size = coalesce(b.last_size, s.worker_last_batch_size),
        worker_has_more = o.picked >= o.quota,
        worker_claim_floor = coalesce(o.last_vt, s.worker_claim_floor)
      from unnest(v_organizations, v_quotas, v_picked, v_last_vts) as o (organization_id, quota, picked, last_vt)
      left join (
        select r.organization_id, (array_agg(r.size order by r.id desc))[1] as last_size from opened r group by 1
      ) b on b.organization_id = o.organization_id
      where s.organization_id = o.organization_id and (o.picked > 0 or s.worker_has_more)
    )
    select s.batch_id, s.organization_id, v_leases[s.position], s.id, s.workflow_name, s.workflow_version, s.retry_count + 1, s.input,
      case when s.started_at <> v_now then public.fw_completed_steps(s.id) end
    from started s;
  get diagnostics v_claimed = row_count;

  -- What cannot simply run (malformed, duplicate, finished, lost lease, redriven by hand …) is settled here and now. It is
  -- what was picked and is still visible.
  if v_claimed < cardinality(v_message_ids) then
    perform public.fw_settle_messages(array(
      select q.msg_id from pgmq.q_workflow_execution_queue q where q.msg_id = any (v_message_ids) and q.vt <= v_now order by q.msg_id), v_live);
  end if;
end
$$;
comment on function public.fw_claim_organizations(uuid, text[], uuid[], integer, boolean, boolean) is
  'Internal: claims visible messages of these organizations, a batch each in turn up to p_room, and marks their executions as running. Starts at the claim floors, or with p_from_start at the oldest message. p_wait: the caller holds no lock yet, so an organization may be waited for.';
