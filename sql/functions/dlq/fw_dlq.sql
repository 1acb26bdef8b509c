create or replace view public.fw_dlq with (security_invoker = true) as
select
  d.msg_id,
  d.enqueued_at,
  public.fw_to_uuid(d.message ->> 'organization_id') as organization_id,
  public.fw_to_uuid(d.message ->> 'execution_id') as execution_id,
  d.message ->> 'workflow_name' as workflow_name,
  d.message ->> 'attempt' as attempt,
  d.message ->> 'error' as error,
  d.message ->> 'error_category' as error_category,
  d.message ->> 'failed_at' as failed_at,
  coalesce(d.message -> 'rejected' = 'true', false) as rejected,
  d.message,
  d.message ->> 'step' as step,
  d.message ->> 'executor' as executor
from pgmq.q_workflow_dlq d;
comment on view public.fw_dlq is
  'Dead letters: executions that failed for good, and messages that no execution could be run from (rejected), with the step and the executor that the last error came from, where they are known. fw_dlq_retry(msg_id) puts one back, fw_dlq_purge() discards old ones.';
