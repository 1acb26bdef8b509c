create or replace function public.fw_apply_retention(p_budget interval default '20 seconds')
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
  c_chunk constant integer := 2000;
  v_job constant timestamptz := public.fw_job_started('fw-retention');
  v_config public.fw_worker_config;
  v_until timestamptz;
  v_after uuid := '00000000-0000-0000-0000-000000000000';
  v_end uuid;
  v_ids uuid[];
  v_gone bigint;
begin
  executions := 0; batches := 0; ticks := 0; notices := 0; cron_runs := 0; events := 0;
  if v_job is null then
    return next;
    return;
  end if;
  select * into v_config from public.fw_worker_config c;
  v_until := v_job + p_budget;

  -- Ids are ordered by time, so the oldest lie together at the start of the index, and what was created after the cutoff
  -- cannot have finished before it.
  v_end := public.fw_uuid_at(greatest(public.fw_now() - v_config.execution_retention, timestamptz 'epoch'));
  loop
    select array_agg(e.id), max(e.id::text)::uuid into v_ids, v_after
    from (select e.id from public.fw_workflow_executions e where e.id > v_after and e.id < v_end order by e.id limit c_chunk) e;
    exit when v_ids is null;
    with gone as (
      delete from public.fw_workflow_executions e
      where e.id = any (array(
        select old.id from public.fw_workflow_executions old
        where old.id = any (v_ids) and old.status in ('completed', 'failed', 'timed_out', 'cancelled') and old.dlq_msg_id is null
          -- A dead letter that was deleted a moment ago may have been put back on the queue by hand, and not been claimed yet.
          and coalesce(old.discarded_at, old.completed_at) < public.fw_now() - v_config.execution_retention
        -- An enqueue that has just met its idempotency key keeps it until it has committed.
        for update of old skip locked))
      returning e.id
    ), steps as (
      delete from public.fw_execution_steps s using gone where s.execution_id = gone.id
    ), attempts as (
      delete from public.fw_failed_attempts a using gone where a.execution_id = gone.id
    ), parked as (
      delete from public.fw_parked_executions k using gone where k.execution_id = gone.id
    )
    select count(*) into v_gone from gone;
    executions := executions + v_gone;
    exit when clock_timestamp() > v_until;
  end loop;

  v_after := '00000000-0000-0000-0000-000000000000';
  v_end := public.fw_uuid_at(greatest(public.fw_now() - v_config.history_retention, timestamptz 'epoch'));
  loop
    select array_agg(r.id), max(r.id::text)::uuid into v_ids, v_after
    from (select r.id from public.fw_worker_runs r where r.id > v_after and r.id < v_end order by r.id limit c_chunk) r;
    exit when v_ids is null;
    -- A closed batch that is named by a live execution is only its last one: nothing reads it again.
    delete from public.fw_worker_runs r where r.id = any (v_ids) and r.finished_at < public.fw_now() - v_config.history_retention;
    get diagnostics v_gone = row_count;
    batches := batches + v_gone;
    exit when clock_timestamp() > v_until;
  end loop;

  with gone as (
    delete from public.fw_worker_ticks t
    where t.started_at < public.fw_now() - v_config.history_retention and t.id < (select max(last.id) from public.fw_worker_ticks last)
    returning t.id
  ), results as (
    delete from public.fw_worker_tick_results r using gone where r.tick_id = gone.id
  )
  select count(*) into ticks from gone;
  delete from public.fw_notices n where n.created_at < public.fw_now() - v_config.history_retention;
  get diagnostics notices = row_count;
  delete from public.fw_events v where v.expires_at < public.fw_now();
  get diagnostics events = row_count;
  if public.fw_may_use_pg_cron() then
    delete from cron.job_run_details d
    where d.end_time < public.fw_now() - v_config.history_retention
      and (d.jobid in (select c.jobid from cron.job c join public.fw_jobs j on j.name = c.jobname)
        or (d.database = current_database() and d.command in (select j.command from public.fw_jobs j)));
    get diagnostics cron_runs = row_count;
  end if;
  perform public.fw_job_done('fw-retention', v_job);
  return next;
end
$$;
comment on function public.fw_apply_retention(interval) is
  'Deletes finished executions with their steps and failed attempts, closed batches, ticks, notices and pg_cron''s history of these jobs once they are older than fw_worker_config says, an execution whose dead letter was discarded counted from then; stops after p_budget and goes on in its next run. An execution with a dead letter stays. Returns how many of each.';
