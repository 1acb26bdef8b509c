create or replace function public.fw_reap_expired_batches(p_most integer default 1000)
returns table (organization_id uuid, lost bigint, returned bigint)
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
  c_untaken constant interval := '10 seconds';
  c_settled constant interval := '1 minute';
  v_organizations uuid[];
  v_untaken uuid[];
  v_messages bigint[];
  v_expired uuid[];
  v_old uuid[];
  v_ids uuid[];
begin
  perform public.fw_check_count('p_most', p_most);
  -- The end of a batch needs the settings of its organization. Where somebody else holds them the batch is left to a claim or
  -- the next tick: one transaction that stays open must not hold up all the others.
  v_organizations := array(
    select s.organization_id from public.fw_module_settings s
    where s.organization_id in (
      select r.organization_id from public.fw_worker_runs r
      where r.finished_at is null and (r.lease_expires_at <= public.fw_now() or (r.taken_at is null and r.claimed_at < public.fw_now() - c_untaken)))
    order by s.organization_id
    for no key update of s skip locked);
  if cardinality(v_organizations) = 0 then
    return;
  end if;
  -- An executor takes an offered batch within milliseconds of its NOTIFY. One that no one took by now was offered in vain.
  v_untaken := array(
    select r.id from public.fw_worker_runs r
    where r.finished_at is null and r.taken_at is null and r.lease_expires_at > public.fw_now() and r.claimed_at < public.fw_now() - c_untaken
      and r.organization_id = any (v_organizations)
    order by r.id limit p_most
    for no key update of r skip locked);
  if cardinality(v_untaken) > 0 then
    -- A report may hold the message of one of these, as that of the parent of a child which finishes, and wait for the settings. What
    -- is not moved now is met once the lease is a minute old.
    v_messages := array(
      select q.msg_id from public.fw_worker_runs r
      join pgmq.q_workflow_execution_queue q
        on (q.message ->> 'organization_id') collate "C" = r.organization_id::text and q.vt = r.lease_expires_at
      where r.id = any (v_untaken)
      order by q.msg_id
      for update of q skip locked);
    update pgmq.q_workflow_execution_queue q set vt = public.fw_now() where q.msg_id = any (v_messages);
    update public.fw_worker_runs r set lease_expires_at = public.fw_now() where r.id = any (v_untaken);
  end if;

  select array_agg(r.id), array_agg(r.id) filter (where r.lease_expires_at < public.fw_now() - c_settled) into v_expired, v_old
  from (
    select r.id, r.lease_expires_at from public.fw_worker_runs r
    where r.finished_at is null and r.lease_expires_at <= public.fw_now() and r.organization_id = any (v_organizations)
    order by r.lease_expires_at limit p_most
  ) r;
  if v_expired is null then
    return;
  end if;
  -- A message of a running execution becomes visible when the lease of its batch ends.
  v_ids := array(
    select e.id
    from public.fw_worker_runs r
    join pgmq.q_workflow_execution_queue q
      on (q.message ->> 'organization_id') collate "C" = r.organization_id::text and q.vt = r.lease_expires_at
    join public.fw_workflow_executions e
      on e.id = public.fw_to_uuid(q.message ->> 'execution_id') and e.msg_id = q.msg_id and e.batch_id = r.id and e.status = 'running'
    where r.id = any (v_expired)
    order by q.msg_id
    for update of q skip locked);
  -- Unless somebody has moved it: what is left of older batches is looked for among all that was ever claimed.
  if v_old is not null then
    v_ids := v_ids || array(
      select e.id
      from public.fw_worker_runs r
      join pgmq.q_workflow_execution_queue q
        on (q.message ->> 'organization_id') collate "C" = r.organization_id::text and q.vt <> r.lease_expires_at and q.read_ct > 0
      join public.fw_workflow_executions e
        on e.id = public.fw_to_uuid(q.message ->> 'execution_id') and e.msg_id = q.msg_id and e.batch_id = r.id and e.status = 'running'
      where r.id = any (v_old)
      order by q.msg_id
      for update of q skip locked);
  end if;
  if cardinality(v_ids) > 0 then
    -- A message may lie in the future still; the retry or the release does not wait for it.
    update pgmq.q_workflow_execution_queue q set vt = public.fw_now()
    from public.fw_workflow_executions e
    where e.id = any (v_ids) and q.msg_id = e.msg_id and q.vt > public.fw_now();
    return query
      select r.organization_id, sum(b.lost)::bigint, sum(b.returned)::bigint
      from public.fw_reap_lost_leases(v_ids) b join public.fw_worker_runs r on r.id = b.batch_id
      group by r.organization_id;
  end if;
end
$$;
comment on function public.fw_reap_expired_batches(integer) is
  'Ends the batches whose lease has run out, up to p_most: each execution that ran in one has failed an attempt. Batches that were offered and that no executor has taken within 10 seconds go back as they were, at no attempt. Returns how many executions of each organization were lost and returned. Claims meet such work by themselves; this also reaches what they do not visit.';
