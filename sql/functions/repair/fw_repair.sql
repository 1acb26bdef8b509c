create or replace function public.fw_repair(p_dry_run boolean default true)
returns table (what text, execution_id uuid, organization_id uuid, detail text)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  c_chunk constant integer := 5000;
  v_after uuid := '00000000-0000-0000-0000-000000000000';
  v_dead_letter bigint := 0;
  v_last bigint;
  v_ids uuid[];
begin
  if p_dry_run is null then
    raise null_value_not_allowed using message = 'p_dry_run is NULL', detail = 'Nothing was changed.',
      hint = 'Pass true to see what would be mended, false to mend it.';
  end if;
  loop
    select (array_agg(e.id order by e.id desc))[1], array_agg(e.id) filter (where e.status in ('queued', 'running', 'waiting', 'retry_pending')) into v_after, v_ids
    from (select e.id, e.status from public.fw_workflow_executions e where e.id > v_after order by e.id limit c_chunk) e;
    exit when v_after is null;
    if p_dry_run then
      return query
        select case when m.is_missing then 'message missing' else 'message invisible for too long' end, m.execution_id, m.organization_id,
          case when m.is_missing then format('%s, and its message is not in the queue: it would be sent again, to be visible at %s', m.status, m.due_at)
            else format('%s, and its message is visible at %s only: it should be at %s', m.status, m.vt, m.due_at) end
        from public.fw_find_misplaced(v_ids) m;
    else
      v_ids := array(select m.execution_id from public.fw_find_misplaced(v_ids) m);
      return query select * from public.fw_mend_executions(v_ids);
    end if;
  end loop;

  loop
    select max(d.msg_id) into v_last from (select d.msg_id from pgmq.q_workflow_dlq d where d.msg_id > v_dead_letter order by d.msg_id limit c_chunk) d;
    exit when v_last is null;
    return query select * from public.fw_mend_dead_letters(v_dead_letter, v_last, p_dry_run);
    v_dead_letter := v_last;
  end loop;
  return query
    with gone as materialized (
      select e.id, e.organization_id, e.status, e.dlq_msg_id from public.fw_workflow_executions e
      where e.dlq_msg_id is not null and not exists (select from pgmq.q_workflow_dlq d where d.msg_id = e.dlq_msg_id)
    ), discarded as (
      update public.fw_workflow_executions e set dlq_msg_id = null, discarded_at = public.fw_now()
      from gone g where not p_dry_run and e.id = g.id and e.dlq_msg_id = g.dlq_msg_id
    )
    select 'dead letter missing', g.id, g.organization_id, format('%s, and dead letter %s is not there: it counts as discarded', g.status, g.dlq_msg_id) from gone g;

  if public.fw_has_vt_index() then
    if not p_dry_run then
      drop index pgmq.q_workflow_execution_queue_vt_idx;
      create type pgmq.q_workflow_execution_queue_vt_idx as ();
      revoke all on type pgmq.q_workflow_execution_queue_vt_idx from public;
    end if;
    return query select 'index', null::uuid, null::uuid,
      'the index of pgmq on vt alone was made again, and would tempt the planner away from the index of the claims: it is dropped'::text;
  end if;
end
$$;
comment on function public.fw_repair(boolean) is
  'Mends what was done by hand in the queues, all of it at once, and returns a row for each thing; without an argument it only says what it would do. Live executions whose message was deleted, archived or purged get one again; messages that were hidden into the far future are visible when they should be; dead letters that somebody has sent stand for their execution or are marked as rejected; the index that pgmq.create may make again is dropped. The tick does the same, a little at a time, but for the index. What others hold locked is left out: call it again.';
