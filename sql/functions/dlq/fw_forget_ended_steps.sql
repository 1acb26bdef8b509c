create or replace function public.fw_forget_ended_steps(p_execution_ids uuid[]) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  delete from public.fw_execution_steps s
  where s.execution_id = any (p_execution_ids) and s.status in ('failed', 'skipped', 'compensated', 'waiting')
$$;
comment on function public.fw_forget_ended_steps(uuid[]) is
  'Internal: of executions that are put back from the dead letters: steps that were compensated, waits that were given up and children that failed begin anew. What was completed stays.';
