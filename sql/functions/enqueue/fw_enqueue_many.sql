create or replace function public.fw_enqueue_many(
  p_workflow text,
  p_inputs jsonb[],
  p_organization_id uuid,
  p_idempotency_keys text[] default null,
  p_delay interval default '0',
  p_metadata jsonb default null,
  p_workflow_version text default null
) returns setof uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select unnest(public.fw_create_executions(
    p_workflow, p_inputs, p_organization_id, p_idempotency_keys, p_delay, p_metadata, p_workflow_version));
end
$$;
comment on function public.fw_enqueue_many(text, jsonb[], uuid, text[], interval, jsonb, text) is
  'Enqueues one execution for each input, in one statement, and returns their ids in the order of the inputs. Part of the caller''s transaction. Idempotency keys, where given, go with the inputs one to one (NULL for none).';
