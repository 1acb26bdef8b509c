create or replace function public.fw_health_of_messages() returns table (subject text, is_ok boolean, detail text, hint text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  c_look constant integer := 2000;
  v_missing bigint;
  v_late bigint;
  v_example uuid;
  v_mended timestamptz;
  v_notice text;
  v_has_index constant boolean := public.fw_has_vt_index();
begin
  select count(*) filter (where m.is_missing), count(*) filter (where not m.is_missing), min(m.execution_id::text)::uuid into v_missing, v_late, v_example
  from public.fw_find_misplaced(array(
    select e.id from (select e.id, e.status from public.fw_workflow_executions e order by e.id desc limit c_look) e
    where e.status in ('queued', 'running', 'waiting', 'retry_pending'))) m;
  select n.created_at, n.message into v_mended, v_notice
  from public.fw_notices n
  where n.kind = 'mended' and n.organization_id is null and n.created_at > public.fw_now() - interval '1 hour'
  order by n.created_at desc limit 1;

  subject := 'messages';
  is_ok := v_missing + v_late = 0 and not v_has_index;
  detail := concat_ws('; ',
    case when v_missing > 0 then format('%s of the newest %s executions are live and have no message in the queue', v_missing, c_look) end,
    case when v_late > 0 then format('%s of the newest %s executions have a message that is hidden for longer than it should be', v_late, c_look) end,
    case when v_missing + v_late > 0 then format('such as %s', v_example) end,
    case when v_has_index then 'the index of pgmq on vt alone is there again, which slows claims down' end,
    case when v_mended is not null then format('%s, at %s', v_notice, date_trunc('second', v_mended)) end);
  detail := case when detail = '' then 'those that are live have their messages' else detail end;
  hint := case when v_missing + v_late > 0 then 'Something else than the worker reads or deletes messages of workflow_execution_queue. The next ticks mend it; select * from fw_repair(false) does so at once.'
    when v_has_index then 'select * from fw_repair(false) drops it.' end;
  return next;
end
$$;
comment on function public.fw_health_of_messages() is
  'Internal: the subject of fw_health that says whether the newest executions that are live have their messages, and whether something was mended in the last hour.';
