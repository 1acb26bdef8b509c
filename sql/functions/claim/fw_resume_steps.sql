create or replace function public.fw_resume_steps(p_execution_id uuid) returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  -- The caller holds the lock of the message, as an event that arrives would have to: a wait whose time is up has ended here
  -- and now, and no later event changes that.
  update public.fw_execution_steps s set
    status = case when s.event_key is null then public.fw_step_status 'completed' else 'skipped' end, completed_at = public.fw_now()
  where s.execution_id = p_execution_id and s.status = 'waiting' and s.wake_at <= public.fw_now();
  return (
    select jsonb_agg(case when s.status = 'skipped' then jsonb_build_object('name', s.node_id, 'index', s.step_index, 'output', null, 'timed_out', true)
      when s.status = 'failed' then jsonb_build_object('name', s.node_id, 'index', s.step_index, 'output', null, 'child', jsonb_build_object(
        'id', s.child_id, 'status', coalesce(c.status, 'failed'), 'error', s.error_message, 'category', c.error_category))
      when s.status = 'compensated' then jsonb_build_object('name', s.node_id, 'index', s.step_index, 'output', s.output_data, 'compensated', true, 'compensable', coalesce(s.is_compensable, false))
      when s.is_compensable then jsonb_build_object('name', s.node_id, 'index', s.step_index, 'output', s.output_data, 'compensable', true)
      else jsonb_build_object('name', s.node_id, 'index', s.step_index, 'output', s.output_data) end order by s.step_index)
    from public.fw_execution_steps s
    left join public.fw_workflow_executions c on s.status = 'failed' and c.id = s.child_id
    where s.execution_id = p_execution_id and s.status in ('completed', 'skipped', 'failed', 'compensated')
      -- What was given up has not been seen by the handler.
      and (s.status <> 'skipped' or (s.event_key is not null and s.wake_at <= s.completed_at)));
end
$$;
comment on function public.fw_resume_steps(uuid) is
  'Internal: what a claimed execution resumes from: a JSON array of {"name", "index", "output"} of its completed steps, or NULL for none. Ends its waits whose time is up; one that was for an event has "timed_out". A step that can be undone is "compensable", one that was undone "compensated". A child that has failed has "child", with its id, status, error and category.';
