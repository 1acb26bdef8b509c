-- Lists of executions that have failed, were cancelled or are late. What completes without a failed attempt has no entry and makes none.
create index concurrently if not exists fw_workflow_executions_error_idx on public.fw_workflow_executions (organization_id, id) where last_error is not null;
