create or replace function public.fw_set_progress(
  p_executor_id uuid, p_execution_id uuid, p_batch_id uuid, p_progress real, p_text text
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if cardinality(public.fw_lock_leases(p_executor_id, array[p_batch_id])) = 1 then
    update public.fw_workflow_executions e set progress = case when p_progress = 'NaN' then e.progress when p_progress is not null then least(1, greatest(0, p_progress)) end, progress_text = left(p_text, (select c.progress_limit from public.fw_worker_config c))
    where e.id = p_execution_id and e.batch_id = p_batch_id and e.status = 'running';
  end if;
end
$$;
comment on function public.fw_set_progress(uuid, uuid, uuid, real, text) is
  'Notes how far a running execution is, 0 to 1, and in words (cut to progress_limit of fw_worker_config). What is outside 0 to 1 is 0 or 1; NaN changes nothing. Nothing is written for a batch that has lost its lease.';
