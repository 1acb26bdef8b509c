create or replace function public.fw_give_notices(p_kind text, p_organization_ids uuid[], p_execution_ids uuid[], p_messages text[]) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  with given as (
    insert into public.fw_notices (kind, organization_id, execution_id, message)
    select p_kind, n.organization_id, n.execution_id, n.message
    from unnest(p_organization_ids, p_execution_ids, p_messages) as n (organization_id, execution_id, message)
    returning *
  )
  -- Cut: a payload may have 8000 bytes, and a character of JSON up to six.
  select pg_notify('fw_notice', json_build_object('id', g.id, 'kind', g.kind, 'organization_id', g.organization_id,
    'execution_id', g.execution_id, 'message', left(g.message, 1000))::text)
  from given g
$$;
comment on function public.fw_give_notices(text, uuid[], uuid[], text[]) is
  'Internal: keeps notices of one kind, a place in each array for each notice, and sends them by NOTIFY fw_notice.';
