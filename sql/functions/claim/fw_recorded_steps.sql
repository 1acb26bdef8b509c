create or replace view public.fw_recorded_steps with (security_invoker = true) as
select s.execution_id, s.node_id, s.step_index,
  jsonb_build_object('name', s.node_id, 'index', s.step_index, 'output', case when seen.status <> 'waiting' then s.output_data end)
  || case when s.asked is null and s.asked_order is null and s.seen_order is null and s.output_data is not null and s.status = 'completed'
      and not seen.is_wait and s.is_compensable is null then '{}'
    else jsonb_strip_nulls(jsonb_build_object('asked', s.asked, 'asked_order', s.asked_order, 'order', s.seen_order, 'group', s.wait_group,
        'waiting', case when seen.status = 'waiting' then true end,
        'wait', case when s.asked is null and seen.is_wait then true end,
        'nothing', case when s.output_data is null or seen.status = 'waiting' then true end,
        'timed_out', case when seen.status = 'skipped' then true end,
        'compensable', s.is_compensable, 'compensated', case when seen.status = 'compensated' then true end,
        'child', case when seen.status = 'failed' and s.child_id is not null then jsonb_build_object(
          'id', s.child_id, 'status', coalesce(c.status, 'failed'), 'error', s.error_message, 'category', c.error_category) end))
      || case when seen.status = 'failed' and s.child_id is null then jsonb_build_object('error', s.error) else '{}' end end as step
from public.fw_execution_steps s
join public.fw_workflow_executions e on e.id = s.execution_id
left join public.fw_workflow_executions c on s.status = 'failed' and c.id = s.child_id
cross join lateral (
  select k.is_wait,
    -- A wait that was over after the claim has no place in the order yet: the run that reads this still waits.
    case when k.is_wait and s.asked is not null and coalesce(s.seen_order, -1) = -1 and e.compensating is null then public.fw_step_status 'waiting'
      else s.status end as status
  from (select s.wake_at is not null or s.event_key is not null or s.child_id is not null as is_wait) k
) seen
where (seen.status in ('completed', 'skipped', 'failed', 'compensated') or (seen.status = 'waiting' and s.asked is not null))
  and (seen.status <> 'failed' or s.child_id is not null or s.error is not null)
  -- Of a map that is not over yet.
  and (s.wait_group is null or s.asked is null or coalesce(s.seen_order, -1) <> -1)
  -- Of one that is undone: what the handler has not seen by now it does not see any more.
  and (e.compensating is null or not seen.is_wait or s.seen_order is not null
    -- Executors of older versions have not recorded what was seen: what was not given up may have been.
    or (s.asked is null and (s.status <> 'skipped' or (s.event_key is not null and s.wake_at <= s.completed_at)) and not exists (
      select from public.fw_execution_steps other
      where other.execution_id = s.execution_id and other.wait_group = s.wait_group and other.status = 'skipped')));
comment on view public.fw_recorded_steps is
  'Internal: what a run resumes from, a JSON object {"name", "index", "output"} for each step. Where they apply: "asked" and "asked_order", "order" (seen_order), "nothing" (it gave no value), "waiting" (it goes on), "wait" (of an older version), "timed_out", "error" (as the handler has seen it), "child" (of a child that has failed: its id, status, error and category), "group" (its map), "compensable", "compensated". Of an execution that is undone only what the handler has seen.';
