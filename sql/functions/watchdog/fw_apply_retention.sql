create or replace function public.fw_apply_retention(p_budget interval default '1 second')
returns table (executions bigint, batches bigint, ticks bigint, notices bigint, cron_runs bigint, events bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  c_first constant integer := 100;    -- An execution may have thousands of steps: how many fit is found out as it goes.
  c_most constant integer := 2000;
  c_short constant interval := '50 milliseconds';
  c_long constant interval := '200 milliseconds';
  c_kinds constant text[] := array['executions', 'batches', 'events', 'notices', 'ticks'];
  c_again constant interval := '1 hour';
  v_job timestamptz;
  v_config public.fw_worker_config;
  v_counts bigint[] := array[0, 0, 0, 0, 0];
  v_until timestamptz;
  v_share timestamptz;
  v_began timestamptz;
  v_kind text;
  v_chunk integer;
  v_after uuid;
  v_before timestamptz;
  v_ids text[];
  v_gone bigint;
  v_has_more boolean := false;
begin
  if p_budget is null then
    raise not_null_violation using message = 'p_budget must not be NULL', hint = 'Say how long this run may take, such as interval ''1 second''; nothing was deleted.';
  end if;
  executions := 0; batches := 0; ticks := 0; notices := 0; cron_runs := 0; events := 0;
  v_job := public.fw_job_started('fw-retention');
  if v_job is null then
    return next;
    return;
  end if;
  select * into v_config from public.fw_worker_config c;
  -- A run is one short transaction whatever is asked for; the next one goes on where it stopped.
  v_until := v_job + least(greatest(p_budget, interval '0'), interval '1 minute');
  delete from public.fw_retention_failures f where f.failed_at < public.fw_now() - 2 * c_again;

  for v_place in 1 .. cardinality(c_kinds) loop
    v_kind := c_kinds[v_place];
    v_began := clock_timestamp();
    -- Each kind gets a share of what is left, so that none waits until another is done.
    v_share := v_began + greatest(v_until - v_began, interval '0') / (cardinality(c_kinds) - v_place + 1);
    v_before := public.fw_now() - case v_kind when 'executions' then v_config.execution_retention when 'events' then interval '0' else v_config.history_retention end;
    select coalesce(r.after_id, '00000000-0000-0000-0000-000000000000') into v_after from public.fw_retention r where r.kind = v_kind;
    v_chunk := c_first;
    loop
      -- Ids are ordered by time, so the oldest lie together at the start of the index, and what was created after the cutoff
      -- cannot have finished before it. What could not be deleted lately is not met again at once.
      case v_kind
      when 'executions' then
        select array_agg(o.id::text), coalesce(max(o.id::text)::uuid, v_after) into v_ids, v_after
        from (
          select e.id from public.fw_workflow_executions e
          where e.id > v_after and e.id < public.fw_uuid_at(greatest(v_before, timestamptz 'epoch')) order by e.id limit v_chunk
        ) o;
      when 'batches' then
        select array_agg(o.id::text), coalesce(max(o.id::text)::uuid, v_after) into v_ids, v_after
        from (
          select r.id from public.fw_worker_runs r
          where r.id > v_after and r.id < public.fw_uuid_at(greatest(v_before, timestamptz 'epoch')) order by r.id limit v_chunk
        ) o;
      when 'events' then
        select array_agg(o.id::text) into v_ids
        from (
          select v.id from public.fw_events v
          where v.expires_at < v_before
            and not exists (select from public.fw_retention_failures f where f.kind = 'events' and f.id = v.id::text and f.failed_at > public.fw_now() - c_again)
          order by v.expires_at limit v_chunk
          for update of v skip locked
        ) o;
      when 'notices' then
        select array_agg(o.id::text) into v_ids
        from (
          select n.id from (select oldest.id, oldest.created_at from public.fw_notices oldest order by oldest.id limit v_chunk + 1000) n
          where n.created_at < v_before
            and not exists (select from public.fw_retention_failures f where f.kind = 'notices' and f.id = n.id::text and f.failed_at > public.fw_now() - c_again)
          limit v_chunk
        ) o;
      when 'ticks' then
        select array_agg(o.id::text) into v_ids
        from (
          select t.id from (select oldest.id, oldest.started_at from public.fw_worker_ticks oldest order by oldest.id limit v_chunk + 1000) t
          -- The next tick goes on from the last one.
          where t.started_at < v_before and t.id < (select max(last.id) from public.fw_worker_ticks last)
            and not exists (select from public.fw_retention_failures f where f.kind = 'ticks' and f.id = t.id::text and f.failed_at > public.fw_now() - c_again)
          limit v_chunk
        ) o;
      end case;
      exit when v_ids is null;
      -- Each is noted again if it still cannot be deleted.
      delete from public.fw_retention_failures f where f.kind = v_kind and f.id = any (v_ids);
      v_gone := public.fw_delete_old(v_kind, v_ids, v_before, v_until);
      v_counts[v_place] := v_counts[v_place] + v_gone;
      -- Of these kinds what is there is deleted, or its failure is noted: otherwise somebody holds it, and it is for the next run.
      if v_gone = 0 and v_kind in ('events', 'notices', 'ticks') then
        v_ids := null;
        exit;
      end if;
      exit when clock_timestamp() > v_share;
      v_chunk := case when clock_timestamp() - v_began < c_short then least(2 * v_chunk, c_most)
        when clock_timestamp() - v_began > c_long then greatest(v_chunk / 2, 1) else v_chunk end;
      v_began := clock_timestamp();
    end loop;
    v_has_more := v_has_more or v_ids is not null;
    update public.fw_retention r
    set after_id = case when v_ids is not null and v_kind in ('executions', 'batches') then v_after end,
      caught_up_at = case when v_ids is null then public.fw_now() else r.caught_up_at end
    where r.kind = v_kind;
  end loop;
  executions := v_counts[1]; batches := v_counts[2]; events := v_counts[3]; notices := v_counts[4]; ticks := v_counts[5];

  if public.fw_may_use_pg_cron() then
    delete from cron.job_run_details d
    where d.end_time < public.fw_now() - v_config.history_retention
      and (d.jobid in (select c.jobid from cron.job c join public.fw_jobs j on j.name = c.jobname)
        or (d.database = current_database() and d.command in (select public.fw_job_command(j.name) from public.fw_jobs j)));
    get diagnostics cron_runs = row_count;
  end if;
  update public.fw_jobs j set has_more = v_has_more where j.name = 'fw-retention';
  perform public.fw_job_done('fw-retention', v_job);
  return next;
end
$$;
comment on function public.fw_apply_retention(interval) is
  'Deletes finished executions with their steps and failed attempts, closed batches, ticks, notices, events and pg_cron''s history of these jobs once they are older than fw_worker_config says, an execution whose dead letter was discarded counted from then. One short transaction of about p_budget; the next run goes on where it stopped, and fw_jobs.has_more says whether there is more to do. An execution with a dead letter stays. What cannot be deleted is left and noted in fw_retention_failures. Returns how many of each.';
