create or replace function public.fw_ended_executions(p_execution_ids uuid[], p_batch_ids uuid[])
returns table (execution_id uuid, batch_id uuid, reason text)
language sql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
  select e.id, e.batch_id, coalesce(e.last_error, e.status::text)
  from unnest(p_execution_ids, p_batch_ids) as i (id, batch_id)
  join public.fw_workflow_executions e on e.id = i.id and e.batch_id = i.batch_id
  where e.status in ('timed_out', 'cancelled')
    -- Turned back, and not by a failed attempt of its own.
    or (e.status in ('queued', 'retry_pending') and e.compensating is not null
      and coalesce((e.compensating ->> 'attempt')::integer, e.retry_count + 1) = e.retry_count + 1)
$$;
comment on function public.fw_ended_executions(uuid[], uuid[]) is
  'Which of these executions, each with the batch it was claimed in, have been ended, or turned back, from outside (timed out or cancelled) while they ran. Asked with each extension of leases, for the NOTIFY may be lost.';
