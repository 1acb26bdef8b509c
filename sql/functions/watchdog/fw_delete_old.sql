create or replace function public.fw_delete_old(p_kind text, p_ids text[], p_before timestamptz, p_until timestamptz) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set lock_timeout = '200ms'
as $$
declare
  c_most constant integer := 1000;
  v_gone bigint := 0;
  v_middle constant integer := cardinality(p_ids) / 2;
  v_state text;
  v_error text;
begin
  -- Finished executions and closed batches are locked by hardly anybody; those that are wait for the next run.
  case p_kind
  when 'executions' then
    with gone as (
      delete from public.fw_workflow_executions e
      where e.id = any (array(
        select old.id from public.fw_workflow_executions old
        where old.id = any (p_ids::uuid[]) and old.status in ('completed', 'failed', 'timed_out', 'cancelled') and old.dlq_msg_id is null
          -- A dead letter that was deleted a moment ago may have been put back on the queue by hand, and not been claimed yet.
          and coalesce(old.discarded_at, old.completed_at) < p_before
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
  when 'batches' then
    -- A closed batch that is named by a live execution is only its last one: nothing reads it again.
    delete from public.fw_worker_runs r
    where r.id = any (array(
      select old.id from public.fw_worker_runs old where old.id = any (p_ids::uuid[]) and old.finished_at < p_before
      for update of old skip locked));
    get diagnostics v_gone = row_count;
  when 'events' then
    delete from public.fw_events v
    where v.id = any (array(
      select old.id from public.fw_events old where old.id = any (p_ids::uuid[]) and old.expires_at < p_before
      for update of old skip locked));
    get diagnostics v_gone = row_count;
  when 'notices' then
    delete from public.fw_notices n
    where n.id = any (array(
      select old.id from public.fw_notices old where old.id = any (p_ids::bigint[]) and old.created_at < p_before
      for update of old skip locked));
    get diagnostics v_gone = row_count;
  when 'ticks' then
    with gone as (
      delete from public.fw_worker_ticks t
      where t.id = any (array(
        select old.id from public.fw_worker_ticks old where old.id = any (p_ids::bigint[]) and old.started_at < p_before
        for update of old skip locked))
      returning t.id
    ), results as (
      delete from public.fw_worker_tick_results r using gone where r.tick_id = gone.id
    )
    select count(*) into v_gone from gone;
  end case;
  return v_gone;
exception when others then
  get stacked diagnostics v_state = returned_sqlstate, v_error = message_text;
  -- A server that is ending, or has no room left on its disk, is nobody's fault in particular.
  if left(v_state, 2) in ('40', '57', '58', 'XX') or v_state in ('53100', '53300') then
    raise;
  end if;
  if cardinality(p_ids) = 1 then
    -- A lock that somebody holds for long is no fault: the next run tries again.
    insert into public.fw_retention_failures (kind, id, error, sqlstate, failed_at)
    select p_kind, p_ids[1], left(v_error, 1000), v_state, public.fw_now()
    where v_state <> '55P03' and (select count(*) from public.fw_retention_failures f where f.kind = p_kind) < c_most
    on conflict (kind, id) do update set error = excluded.error, sqlstate = excluded.sqlstate, failed_at = excluded.failed_at;
    return 0;
  end if;
  if clock_timestamp() > p_until + interval '1 second' then
    return 0;
  end if;
  return public.fw_delete_old(p_kind, p_ids[:v_middle], p_before, p_until) + public.fw_delete_old(p_kind, p_ids[v_middle + 1:], p_before, p_until);
end
$$;
comment on function public.fw_delete_old(text, text[], timestamptz, timestamptz) is
  'Internal: deletes those of these rows that are over since p_before, a kind of fw_retention. Where one of them cannot be deleted the others are: the one at fault is found by halves and noted in fw_retention_failures, unless that takes longer than until p_until. Returns how many are gone.';
