create or replace function public.fw_health_of_retention() returns table (subject text, is_ok boolean, detail text, hint text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  c_late constant interval := '1 hour';
  c_look constant integer := 1000;
  v_config public.fw_worker_config;
  v_late text[] := '{}';
  v_failures bigint;
  v_example public.fw_retention_failures;
  v_cutoff timestamptz;
  v_kind text;
  v_after uuid;
  v_since timestamptz;
  v_is_left boolean;
begin
  select * into v_config from public.fw_worker_config c;
  for v_kind, v_after, v_since in
    select r.kind, coalesce(r.after_id, '00000000-0000-0000-0000-000000000000'), r.caught_up_at from public.fw_retention r
    where r.caught_up_at < public.fw_now() - c_late order by r.kind
  loop
    -- What was due when a run last found no more is no reason; what has been due for an hour is.
    v_cutoff := public.fw_now() - c_late - case v_kind when 'executions' then v_config.execution_retention when 'events' then interval '0' else v_config.history_retention end;
    v_is_left := case v_kind
      when 'executions' then exists (
        select from (
          select e.status, e.dlq_msg_id, coalesce(e.discarded_at, e.completed_at) as over_at from public.fw_workflow_executions e
          where e.id > v_after and e.id < public.fw_uuid_at(greatest(v_cutoff, timestamptz 'epoch')) order by e.id limit c_look
        ) o
        where o.status in ('completed', 'failed', 'timed_out', 'cancelled') and o.dlq_msg_id is null and o.over_at < v_cutoff)
      when 'batches' then exists (
        select from (
          select r.finished_at from public.fw_worker_runs r
          where r.id > v_after and r.id < public.fw_uuid_at(greatest(v_cutoff, timestamptz 'epoch')) order by r.id limit c_look
        ) o
        where o.finished_at < v_cutoff)
      when 'events' then exists (select from public.fw_events v where v.expires_at < v_cutoff)
      when 'notices' then exists (select from (select n.created_at from public.fw_notices n order by n.id limit 1) o where o.created_at < v_cutoff)
      when 'ticks' then exists (select from (select t.started_at from public.fw_worker_ticks t order by t.id limit 1) o where o.started_at < v_cutoff)
    end;
    if v_is_left then
      v_late := v_late || format('%s since %s', v_kind, date_trunc('second', v_since));
    end if;
  end loop;
  select count(*) into v_failures from public.fw_retention_failures f;
  select * into v_example from public.fw_retention_failures f order by f.failed_at desc, f.kind, f.id limit 1;

  subject := 'retention';
  is_ok := v_late = '{}' and v_failures = 0;
  detail := case when is_ok then 'what is older than its retention is deleted' else '' end
    || case when v_late <> '{}' then format('does not keep up: there is more to delete of %s', array_to_string(v_late, ', ')) else '' end
    || case when v_late <> '{}' and v_failures > 0 then '; ' else '' end
    || case when v_failures > 0 then format('%s rows cannot be deleted, such as %s of %s: %s (%s)',
      v_failures, v_example.id, v_example.kind, v_example.error, v_example.sqlstate) else '' end;
  hint := case when v_late <> '{}' then 'The job fw-retention deletes it: select last_started_at, last_driver from fw_jobs where name = ''fw-retention'' shows whether it runs. call fw_keep_retention() does its work now.'
    when v_failures > 0 then 'select * from fw_retention_failures shows all. Each is tried again after an hour.' end;
  return next;
end
$$;
comment on function public.fw_health_of_retention() is
  'Internal: the subject of fw_health that says whether retention keeps up, and whether there are rows that it cannot delete.';
