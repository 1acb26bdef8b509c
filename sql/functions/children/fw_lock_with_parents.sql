create or replace function public.fw_lock_with_parents(p_execution_ids uuid[]) returns void
language sql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
  select from pgmq.q_workflow_execution_queue q
  where q.msg_id = any (array(
    select e.msg_id from public.fw_workflow_executions e where e.id = any (p_execution_ids)
    union all
    select parent.msg_id from public.fw_workflow_executions e join public.fw_workflow_executions parent on parent.id = e.parent_id
    where e.id = any (p_execution_ids)))
  order by q.msg_id
  for update of q
$$;
comment on function public.fw_lock_with_parents(uuid[]) is
  'Internal: locks the messages of these executions, which are about to finish, and of those that wait for them, all in one order. Of two last children at once, the second to get the lock sees the first one finished.';
