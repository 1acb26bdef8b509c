create or replace function public.fw_health() returns table (subject text, is_ok boolean, detail text, hint text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  c_periods constant integer := 3;
  v_tick public.fw_jobs;
  v_last public.fw_worker_ticks;   -- that has committed: a job is marked as started before it has done anything
  v_config public.fw_worker_config;
  v_in_charge constant boolean := public.fw_pg_cron_is_in_charge();
  v_paused constant boolean := public.fw_is_paused();
  v_owner constant name := (select pg_get_userbyid(c.relowner) from pg_class c where c.oid = 'public.fw_jobs'::regclass);
  -- The owner of the worker may not use the pg_cron that is here.
  v_is_barred constant boolean := public.fw_pg_cron_version() is not null
    and not coalesce((select has_schema_privilege(v_owner, n.oid, 'usage') from pg_namespace n where n.nspname = 'cron'), false);
  v_alive bigint;
  v_waiting bigint;
  v_since timestamptz;
  v_disabled bigint;
  v_disabled_since timestamptz;
  v_example uuid;
  v_deep bigint;
  v_parked bigint;
  v_parked_since timestamptz;
begin
  select * into v_config from public.fw_worker_config c;
  select * into v_tick from public.fw_jobs j where j.name = 'process-workflow-queue';
  select * into v_last from public.fw_worker_ticks t order by t.id desc limit 1;
  select count(*) into v_alive from public.fw_executors x where x.stopped_at is null and x.last_seen_at > public.fw_now() - interval '30 seconds';
  select count(*) filter (where w.enabled), min(w.oldest) filter (where w.enabled),
    count(*) filter (where not w.enabled), min(w.oldest) filter (where not w.enabled), min(w.organization_id::text) filter (where not w.enabled)::uuid
  into v_waiting, v_since, v_disabled, v_disabled_since, v_example
  from public.fw_waiting_organizations() w;

  subject := 'tick';
  -- Before the first one it is late when pg_cron has had the time.
  is_ok := coalesce(coalesce(v_last.started_at, case when v_in_charge then v_tick.installed_at end) > public.fw_now() - c_periods * v_tick.period, false);
  detail := case when v_last.id is null then 'fw_worker_tick() has not run yet'
    else format('last run %s ago, took %s ms, by %s', date_trunc('second', public.fw_now() - v_last.started_at),
      round(extract(epoch from v_last.duration) * 1000), v_last.driver) end
    || case when is_ok then '' else format(': late, it is due every %s', v_tick.period) end;
  hint := case when is_ok then null
    when v_paused and v_config.paused_at is null then 'process-workflow-queue was unscheduled: select fw_install_cron_jobs() schedules it again.'
    when v_in_charge then format('pg_cron does not run it: select * from cron.job_run_details order by start_time desc limit 5, as role %s, shows why.', coalesce(v_tick.installed_by, v_owner))
    when v_alive = 0 then 'Without pg_cron an executor runs it, and none is alive: start one.'
    else 'An executor should run it: look at its log.' end;
  return next;

  subject := 'driver';
  is_ok := true;
  detail := case when v_in_charge then format('pg_cron %s runs the jobs', public.fw_pg_cron_version()) || case when v_tick.installed_by <> v_owner then format(' as role %s', v_tick.installed_by) else '' end
    when coalesce(v_tick.last_driver, '') = 'pg_cron' then 'a pg_cron in another database runs the jobs'
    when exists (select from pg_extension x where x.extname = 'pg_cron') and public.fw_pg_cron_version() is null
      then 'pg_cron is older than 1.5 and is not used: one of the executors runs the jobs'
    when v_is_barred then format('role %s, which owns the worker, may not use the pg_cron that is here: one of the executors runs the jobs', v_owner)
    when public.fw_pg_cron_version() is not null then 'the jobs are not installed in pg_cron: one of the executors runs them'
    else 'there is no pg_cron here: one of the executors runs the jobs' end;
  hint := case when not v_in_charge and v_is_barred then format('Let a superuser, or whoever your provider names, run: grant usage on schema cron to %I; then select fw_install_cron_jobs() gives them to pg_cron.', v_owner)
    when not v_in_charge and public.fw_pg_cron_version() is not null then 'select fw_install_cron_jobs() gives them to pg_cron.' end;
  return next;

  subject := 'executors';
  is_ok := v_alive > 0 or v_waiting = 0;
  detail := format('%s alive', v_alive) || case when is_ok then ''
    else format(', while work of %s organizations waits, the oldest since %s', v_waiting, date_trunc('second', v_since)) end;
  hint := case when not is_ok then 'Start an executor: fw run.' end;
  return next;

  subject := 'disabled organizations';
  is_ok := v_disabled = 0;
  detail := case when is_ok then 'no work waits for one'
    else format('work of %s waits while their worker is disabled, such as %s, the oldest since %s', v_disabled, v_example, date_trunc('second', v_disabled_since)) end;
  hint := case when not is_ok then format('select fw_save_worker_settings(%L, true) enables one.', v_example) end;
  return next;

  subject := 'pause';
  is_ok := not v_paused;
  detail := case when v_config.paused_at is not null then format('paused since %s: %s', date_trunc('second', v_config.paused_at), coalesce(v_config.pause_reason, 'no reason given'))
    when v_paused then 'paused: process-workflow-queue is not scheduled in pg_cron'
    else 'not paused' end;
  hint := case when v_config.paused_at is not null then 'select fw_resume() goes on.'
    when v_paused then 'select fw_install_cron_jobs() schedules it again.' end;
  return next;

  subject := 'dead letters';
  select count(*), min(d.organization_id::text)::uuid into v_deep, v_example
  from (select d.organization_id from public.fw_dlq d group by d.organization_id having count(*) >= v_config.dlq_alert_depth) d;
  is_ok := v_deep = 0;
  detail := case when is_ok then format('no organization has %s or more', v_config.dlq_alert_depth)
    else format('%s organizations have %s or more, such as %s', v_deep, v_config.dlq_alert_depth, v_example) end;
  hint := case when not is_ok then 'select error, count(*) from fw_dlq group by 1 shows why; fw_dlq_retry(msg_id) puts one back.' end;
  return next;

  subject := 'parked executions';
  select count(*), min(k.parked_at), min(k.execution_id::text)::uuid into v_parked, v_parked_since, v_example from public.fw_parked k;
  is_ok := v_parked = 0;
  detail := case when is_ok then 'the code of the executors fits what was recorded'
    else format('%s are parked, because no executor has code that fits what they have recorded, such as %s, the oldest since %s',
      v_parked, v_example, date_trunc('second', v_parked_since)) end;
  hint := case when not is_ok then 'select * from fw_parked shows why. Start an executor with the code that they were begun with; or fw_continue_from(execution_id, step), fw_fail_execution(execution_id, reason).' end;
  return next;
  return query select * from public.fw_health_of_claims();
  return query select * from public.fw_health_of_messages();
  return query select * from public.fw_health_of_sequences();
  return query select * from public.fw_health_of_retention();
  return query select * from public.fw_health_of_unknown_workflows();
end
$$;
comment on function public.fw_health() is
  'Whether the worker is well, a row for each subject, with what to do where it is not: the tick and who runs it, executors, work that waits for a disabled organization, a pause, dead letters, executions that are parked, claims that fail, messages that are missing, sequences that stand behind, retention, work for a workflow that nobody runs.';
