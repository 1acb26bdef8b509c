create or replace function public.fw_note_grants() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A migrate that did not reach its end has noted them. What is granted now on objects that it has made came from default privileges.
  if exists (select from public.fw_worker_config c where c.closed_as = public.fw_closed_as() and c.grants_noted_at is null) then
    delete from public.fw_kept_grants;
    insert into public.fw_kept_grants (kind, name, column_name, grantee, privilege, is_grantable)
    select g.kind, g.name, g.column_name, g.grantee_oid, g.privilege, bool_or(g.is_grantable)
    from public.fw_grants g where g.grantee_oid <> 0
    group by g.kind, g.name, g.column_name, g.grantee_oid, g.privilege;
    update public.fw_worker_config set grants_noted_at = clock_timestamp();
  end if;
end
$$;
comment on function public.fw_note_grants() is
  'Internal: what a migrate calls before it changes anything. Notes what was granted to roles by name, so that it can be given again on functions that are dropped and made anew. Notes nothing on the first migrate of these tables: what is granted then came from default privileges.';
