create or replace function public.fw_pass_by_locked(p_organizations uuid[], p_floors timestamptz[], p_most integer) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  c_most constant integer := 1000;
  c_hidden constant interval := '10 seconds';
  v_messages bigint[];
  v_ids uuid[];
  v_free uuid[];
begin
  select array_agg(q.msg_id), array_agg(q.execution_id) into v_messages, v_ids
  from unnest(p_organizations, p_floors) as o (organization_id, floor)
  cross join lateral (
    select q.msg_id, case when pg_column_size(q.message) <= 32768 then public.fw_to_uuid(q.message ->> 'execution_id') end as execution_id
    from pgmq.q_workflow_execution_queue q
    where (q.message ->> 'organization_id') collate "C" = o.organization_id::text and q.vt <= public.fw_now()
      and q.vt >= coalesce(o.floor, '-infinity')
    order by q.vt
    limit least(p_most, c_most)
    for update of q skip locked
  ) q;
  v_free := array(select e.id from public.fw_workflow_executions e where e.id = any (v_ids) order by e.id for no key update skip locked);
  update pgmq.q_workflow_execution_queue q set vt = public.fw_now() + c_hidden
  from unnest(v_messages, v_ids) as i (msg_id, id)
  where q.msg_id = i.msg_id and i.id <> all (v_free) and exists (select from public.fw_workflow_executions e where e.id = i.id);
end
$$;
comment on function public.fw_pass_by_locked(uuid[], timestamptz[], integer) is
  'Internal: hides visible messages of these organizations, the oldest p_most of each, for ten seconds where somebody holds a lock on the execution, so that claims do not wait for it.';
