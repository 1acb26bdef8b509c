create or replace function public.fw_after_restore() returns table (what text, detail text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_count bigint;
  v_runs uuid[];
begin
  -- Logical replication copies no sequences.
  return query
    select 'sequence', format('%s had given %s, and %s is in use: it goes on after that', s.name, s.last_value, setval(s.sequence, s.highest))
    from public.fw_sequences(true) s where s.highest > s.last_value;

  -- The executors of the old place: their leases end now, so that what they ran is tried again here, and whatever they still report is refused.
  v_runs := array(
    select r.id from public.fw_worker_runs r where r.finished_at is null and r.lease_expires_at > public.fw_now() order by r.id for no key update of r);
  if cardinality(v_runs) > 0 then
    perform from pgmq.q_workflow_execution_queue q
    where q.msg_id in (select e.msg_id from public.fw_workflow_executions e where e.status = 'running' and e.batch_id = any (v_runs))
    order by q.msg_id
    for update of q;
    update pgmq.q_workflow_execution_queue q set vt = public.fw_now()
    from public.fw_workflow_executions e
    where e.status = 'running' and e.batch_id = any (v_runs) and q.msg_id = e.msg_id;
    update public.fw_worker_runs r set lease_expires_at = public.fw_now() where r.id = any (v_runs);
    what := 'leases';
    detail := format('%s batches were running in the old place: their leases have ended, and the next tick or claim tries their work again, as after a crash', cardinality(v_runs));
    return next;
  end if;
  update public.fw_executors x set stopped_at = public.fw_now(), wants_work = false where x.stopped_at is null;
  get diagnostics v_count = row_count;
  if v_count > 0 then
    what := 'executors';
    detail := format('%s were registered in the old place: they count as stopped; one that is started or restarted registers anew', v_count);
    return next;
  end if;

  if exists (select from public.fw_jobs j where j.installed_at is not null) then
    if not public.fw_may_use_pg_cron() then
      update public.fw_jobs j set installed_at = null, installed_by = null;
      what := 'jobs';
      detail := 'were installed in the pg_cron of the old place, and there is none here that this role may use: executors run them';
      return next;
    elsif not exists (select from cron.job c join public.fw_jobs j on j.name = c.jobname where c.database = current_database()) then
      perform public.fw_install_cron_jobs();
      what := 'jobs';
      detail := 'were installed in the pg_cron of the old place: they are installed in that of this database';
      return next;
    end if;
  end if;
end
$$;
comment on function public.fw_after_restore() is
  'To be called once where a copy of the database goes on: after a switch-over by logical replication, or a restore into another place, before executors start. Sequences go on after the highest number in use, executors of the old place are fenced (their leases end, they count as stopped), and jobs are given to the pg_cron that is here, or to the executors. Safe to repeat. Returns a row for each thing that it did.';
