create or replace function public.fw_forget_ended_steps(p_execution_ids uuid[]) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  with gone as (
    delete from public.fw_execution_steps s
    where s.execution_id = any (p_execution_ids) and s.status in ('failed', 'skipped', 'compensated', 'waiting')
    returning s.execution_id, s.status, coalesce(greatest(s.seen_order, -2 - s.seen_order), s.step_index) as seen
  ), first as (
    select g.execution_id, min(g.seen) as seen from gone g where g.status <> 'waiting' group by g.execution_id
  )
  -- What was asked for after something that begins anew may not be asked for any more, or at another time.
  update public.fw_execution_steps s set seen_order = case when s.seen_order is null and s.asked is not null and (s.wake_at is not null or s.event_key is not null or s.child_id is not null)
    then -1 else -2 - coalesce(s.seen_order, s.step_index) end
  from first f
  where s.execution_id = any (array[f.execution_id]) and s.status = 'completed' and coalesce(s.asked_order, s.step_index) > f.seen
    and coalesce(s.seen_order, 0) >= 0
$$;
comment on function public.fw_forget_ended_steps(uuid[]) is
  'Internal: of executions that are put back from the dead letters: steps that have failed or were compensated, waits that were given up and children that failed begin anew. What was completed stays; what was asked for after one of those is loose in the order (seen_order -2 less its place).';
