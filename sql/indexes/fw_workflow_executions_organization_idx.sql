-- Lists of executions by organization and workflow, the newest first. None of these columns ever changes, so a claim and a report
-- leave this index alone.
create index concurrently if not exists fw_workflow_executions_organization_idx on public.fw_workflow_executions (organization_id, workflow_name, id);
