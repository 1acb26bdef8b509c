-- Lists of executions by organization and workflow, the newest first. None of these columns ever changes, so a claim and a report
-- leave this index alone. The id stands in it as bytes, which have the same order: so no look for an execution by its id, and none at
-- all ids, can be planned to walk this index.
create index concurrently if not exists fw_workflow_executions_organization_idx on public.fw_workflow_executions (organization_id, workflow_name, uuid_send(id));
