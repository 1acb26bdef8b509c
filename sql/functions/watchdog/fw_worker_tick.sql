create or replace function public.fw_worker_tick() returns table (
  organization_id uuid, messages_processed bigint, succeeded bigint, failed bigint, dlq_routed bigint, errors text[], correlation_id uuid
)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  c_most_batches constant integer := 1000;
  c_most_keys constant integer := 1000;
  c_most_strays constant integer := 2000;
  v_job constant timestamptz := public.fw_job_started('process-workflow-queue');
  v_correlation constant uuid := public.fw_uuid();
  v_tick bigint;
  v_last pg_snapshot;
  v_seen pg_snapshot;
  v_last_at timestamptz;
  v_reaped uuid[];
  v_lost bigint[];
  v_returned bigint[];
  v_offered integer := 0;
  v_most integer;
  v_errors text[];
  v_state text;
  v_reason text;
begin
  if v_job is null then
    return;
  end if;
  -- Each part stands alone: where one fails for the data that it meets, it does less, and the others go on.
  -- First, for it may wait for locks, and nothing is held yet that somebody else waits for.
  v_most := c_most_keys;
  while v_most >= 1 loop
    begin
      perform public.fw_match_events(v_most);
      exit;
    exception when data_exception or integrity_constraint_violation or program_limit_exceeded or out_of_memory or internal_error or raise_exception then
      get stacked diagnostics v_state = returned_sqlstate, v_reason = message_text;
      v_most := v_most / 2;
      if v_most = 0 then
        v_errors := v_errors || format('events could not be matched (%s): %s', v_state, left(v_reason, 1000));
        -- The key at fault is let go, for all others would wait behind it.
        delete from public.fw_unmatched_keys u where u.id = (select min(first.id) from public.fw_unmatched_keys first);
      end if;
    end;
  end loop;
  perform public.fw_mend_messages();
  begin
    select array_agg(r.organization_id), array_agg(r.lost), array_agg(r.returned) into v_reaped, v_lost, v_returned
    from public.fw_reap_expired_batches(c_most_batches) r;
  exception when data_exception or integrity_constraint_violation or program_limit_exceeded or out_of_memory or internal_error or raise_exception then
    get stacked diagnostics v_state = returned_sqlstate, v_reason = message_text;
    v_errors := v_errors || format('lost leases could not be ended together (%s): %s', v_state, left(v_reason, 1000));
    perform public.fw_reap_apart(c_most_batches);
  end;
  begin
    perform public.fw_settle_strays('', c_most_keys * 100, c_most_strays);
    select count(*) into v_offered from public.fw_offer_batches();
  exception when data_exception or integrity_constraint_violation or program_limit_exceeded or out_of_memory or internal_error or raise_exception then
    get stacked diagnostics v_state = returned_sqlstate, v_reason = message_text;
    v_errors := v_errors || format('work could not be offered (%s): %s', v_state, left(v_reason, 1000));
  end;

  select t.seen, t.started_at into v_last, v_last_at from public.fw_worker_ticks t order by t.id desc limit 1;
  -- A snapshot does not list its own transaction; here it counts as not seen, so what this tick has ended is the next one's.
  v_seen := pg_current_snapshot();
  if pg_current_xact_id() < pg_snapshot_xmax(v_seen) then
    v_seen := format('%s:%s:%s', least(pg_snapshot_xmin(v_seen), pg_current_xact_id()), pg_snapshot_xmax(v_seen), array_to_string(array(
      select pg_snapshot_xip(v_seen) as xid union select pg_current_xact_id() order by xid), ','))::pg_snapshot;
  end if;
  -- Snapshots of another server, out of a dump, say nothing about this one; nor are its batches to be counted once this one
  -- comes to the numbers of the transactions that closed them.
  if v_last is null or pg_snapshot_xmax(v_last) > pg_snapshot_xmax(v_seen) then
    update public.fw_worker_runs r set finished_xid = null
    where r.finished_xid >= pg_snapshot_xmax(v_seen) and r.finished_at < v_last_at;
    v_last := v_seen;
  end if;
  insert into public.fw_worker_ticks (correlation_id, driver, started_at, duration, batches_offered, seen, errors)
  values (v_correlation, public.fw_job_driver(), v_job, clock_timestamp() - v_job, v_offered, v_seen, v_errors)
  returning id into v_tick;
  return query
    with closed as (
      select r.organization_id, sum(r.succeeded) as succeeded, sum(r.failed + r.lost) as failed,
        sum(r.dead_lettered) as dlq_routed, sum(r.stopped) as stopped
      from public.fw_worker_runs r
      where r.finished_xid >= pg_snapshot_xmin(v_last)
        and not pg_visible_in_snapshot(r.finished_xid, v_last) and pg_visible_in_snapshot(r.finished_xid, v_seen)
      group by r.organization_id
    ), reaped as (
      select r.organization_id, array_remove(array[
        case when r.lost > 0 then format(case r.lost when 1 then '%s execution lost its lease' else '%s executions lost their lease' end, r.lost) end,
        case when r.returned > 0 then format(case r.returned when 1 then '%s execution was offered and not taken' else '%s executions were offered and not taken' end, r.returned) end], null) as errors
      from unnest(v_reaped, v_lost, v_returned) as r (organization_id, lost, returned)
    ), kept as (
      insert into public.fw_worker_tick_results (tick_id, organization_id, messages_processed, succeeded, failed, dlq_routed, errors)
      select v_tick, coalesce(c.organization_id, r.organization_id), coalesce(c.succeeded + c.failed + c.dlq_routed + c.stopped, 0),
        coalesce(c.succeeded, 0), coalesce(c.failed, 0), coalesce(c.dlq_routed, 0), coalesce(r.errors, '{}')
      from closed c full join reaped r on r.organization_id = c.organization_id
      returning *
    )
    select k.organization_id, k.messages_processed, k.succeeded, k.failed, k.dlq_routed, k.errors, v_correlation from kept k;
  perform public.fw_job_done('process-workflow-queue', v_job);
end
$$;
comment on function public.fw_worker_tick() is
  'The safety net, run every minute: ends batches whose lease has run out, takes back those that no executor took, gives events to those who missed them, and offers batches of waiting work to executors that have room. Never overlaps itself: a second one returns at once. Returns, and keeps in fw_worker_tick_results, a row for each organization whose batches were closed since the last tick, or had something wrong.';
