create or replace function public.fw_resume_steps(p_execution_id uuid) returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
begin
  if not public.fw_end_waits(p_execution_id) then
    return null;
  end if;
  return (select jsonb_agg(r.step order by r.step_index) from public.fw_recorded_steps r where r.execution_id = p_execution_id);
end
$$;
comment on function public.fw_resume_steps(uuid) is
  'Internal: for executors of older versions, to whom a claim hands over all that was recorded: ends waits as fw_end_waits does, and returns the steps of fw_recorded_steps as a JSON array, or NULL for none.';
