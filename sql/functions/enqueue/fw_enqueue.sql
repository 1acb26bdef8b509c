create or replace function public.fw_enqueue(
  p_workflow text,
  p_input jsonb,
  p_organization_id uuid,
  p_idempotency_key text default null,
  p_delay interval default '0',
  p_metadata jsonb default null,
  p_workflow_version text default null
) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return (public.fw_create_executions(
    p_workflow, array[p_input], p_organization_id, case when p_idempotency_key is not null then array[p_idempotency_key] end,
    p_delay, p_metadata, p_workflow_version))[1];
end
$$;
comment on function public.fw_enqueue(text, jsonb, uuid, text, interval, jsonb, text) is
  'Enqueues one execution of a workflow for an organization and returns its id. Part of the caller''s transaction. With an idempotency key that the organization has used for this workflow before, the id of that execution is returned and nothing is enqueued. A delay keeps it from starting before then.';
