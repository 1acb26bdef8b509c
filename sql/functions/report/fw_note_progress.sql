create or replace function public.fw_note_progress(
  p_executor_id uuid, p_execution_ids uuid[], p_batch_ids uuid[], p_progress real[], p_texts text[]
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '500ms'
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_batches uuid[];
begin
  v_batches := public.fw_lock_leases(p_executor_id, p_batch_ids);
  -- While the batches are locked nobody else ends these runs, and only they write to their executions, so no order of locks is needed here.
  update public.fw_workflow_executions e set
    progress = case when n.progress = 'NaN' then e.progress when n.progress is not null then least(1, greatest(0, n.progress)) end,
    progress_text = left(n.said, c.progress_limit)
  from unnest(p_execution_ids, p_batch_ids, p_progress, p_texts) as n (id, batch_id, progress, said) cross join public.fw_worker_config c
  where e.id = n.id and e.batch_id = n.batch_id and e.status = 'running' and n.batch_id = any (v_batches);
end
$$;
comment on function public.fw_note_progress(uuid, uuid[], uuid[], real[], text[]) is
  'Notes how far running executions are, 0 to 1, and in words (cut to progress_limit of fw_worker_config): a place in each array for each execution. What is outside 0 to 1 is 0 or 1; NaN changes nothing. Nothing is written for a batch that has lost its lease.';
