create or replace view public.fw_parked with (security_invoker = true) as
select k.execution_id, e.organization_id, e.workflow_name, e.workflow_version, k.parked_at, k.tries, k.executor, k.recorded, k.asked, k.reason
from public.fw_parked_executions k
join public.fw_workflow_executions e on e.id = k.execution_id and e.batch_id = k.batch_id and e.status in ('queued', 'retry_pending');
comment on view public.fw_parked is
  'Executions that are parked: no executor that has tried has code that fits what was recorded. Start one that has, or force one: fw_continue_from(execution_id, step) or fw_fail_execution(execution_id, reason).';
