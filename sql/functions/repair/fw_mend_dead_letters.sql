create or replace function public.fw_mend_dead_letters(p_after bigint, p_last bigint, p_dry_run boolean default false)
returns table (what text, execution_id uuid, organization_id uuid, detail text)
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
  c_largest constant integer := 32768;
  v_messages bigint[];
  v_ids uuid[];
begin
  select array_agg(d.msg_id order by d.msg_id), array_agg(d.execution_id order by d.msg_id) into v_messages, v_ids
  from (
    select d.msg_id, e.id as execution_id
    from pgmq.q_workflow_dlq d
    join public.fw_workflow_executions e on e.id = public.fw_to_uuid(d.message ->> 'execution_id')
    where d.msg_id > p_after and d.msg_id <= p_last and pg_column_size(d.message) <= c_largest
      and d.message -> 'rejected' is distinct from 'true' and e.dlq_msg_id is distinct from d.msg_id
  ) d;
  if v_messages is null then
    return;
  end if;
  if not p_dry_run then
    v_messages := array(select d.msg_id from pgmq.q_workflow_dlq d where d.msg_id = any (v_messages) order by d.msg_id for update of d skip locked);
    v_ids := array(select e.id from public.fw_workflow_executions e where e.id = any (v_ids) order by e.id for no key update of e skip locked);
  end if;
  return query
    with found as materialized (
      select d.msg_id, e.id, e.organization_id, e.status,
        -- It may have been brought back out of the archive: the first one that there is stands for an execution that has none.
        e.status in ('failed', 'timed_out') and row_number() over (partition by e.id order by d.msg_id) = 1
          and not exists (select from pgmq.q_workflow_dlq own where own.msg_id = e.dlq_msg_id) as is_wanted
      from pgmq.q_workflow_dlq d
      join public.fw_workflow_executions e on e.id = public.fw_to_uuid(d.message ->> 'execution_id') and e.id = any (v_ids)
      where d.msg_id = any (v_messages) and d.message -> 'rejected' is distinct from 'true' and e.dlq_msg_id is distinct from d.msg_id
    ), linked as (
      update public.fw_workflow_executions e set dlq_msg_id = f.msg_id, discarded_at = null
      from found f where not p_dry_run and f.is_wanted and e.id = f.id
    ), marked as (
      update pgmq.q_workflow_dlq d set message = jsonb_build_object('error', format('execution %s is %s, and this is not its dead letter', f.id, f.status),
        'error_category', 'VALIDATION') || d.message || '{"rejected": true}'
      from found f where not p_dry_run and not f.is_wanted and d.msg_id = f.msg_id
    )
    select 'dead letter sent by hand', f.id, f.organization_id,
      case when f.is_wanted then format('%s, and had no dead letter: %s stands for it', f.status, f.msg_id)
        else format('%s, so that dead letter %s is not its own: it is marked as rejected', f.status, f.msg_id) end
    from found f;
end
$$;
comment on function public.fw_mend_dead_letters(bigint, bigint, boolean) is
  'Internal: dead letters above p_after, up to p_last, that somebody has sent and that name an execution: one stands for an execution that has failed and has none, any other is marked as rejected. p_dry_run: only says so. Returns what was mended.';
