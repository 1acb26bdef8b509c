create or replace function public.fw_close_to_others() returns setof text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Nothing is executed that is not built from this list and from names that the catalogue has.
  c_privileges constant text[] := '{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER,MAINTAIN,USAGE,CREATE,EXECUTE}';
  v_is_known boolean := exists (select from public.fw_worker_config c where c.closed_as = public.fw_closed_as());
  v_taken text[];
  v_statement text;
begin
  -- On later migrates what is taken away for good was given to PUBLIC, or by default privileges to what is new.
  if not v_is_known then
    delete from public.fw_kept_grants;
    v_taken := array(
      select format('grant %s on %s %s to %s%s;', w.privileges, w.kind, string_agg(w.object, ', ' order by w.object), w.grantee,
        case when w.is_grantable then ' with grant option' else '' end)
      from (
        select g.kind, g.object, g.grantee, g.is_grantable,
          string_agg(lower(g.privilege) || case g.column_name when '' then '' else format(' (%I)', g.column_name) end, ', ' order by g.privilege, g.column_name) as privileges
        from public.fw_grants g
        where not (g.grantee_oid = 0 and g.kind in ('routine', 'type')) and pg_has_role(g.owner::regrole, 'usage')
        group by g.kind, g.object, g.grantee, g.is_grantable
      ) w
      group by w.kind, w.privileges, w.grantee, w.is_grantable
      order by w.grantee, w.kind
    );
  end if;
  for v_statement in
    select format('revoke all on %s %s from %s cascade', g.kind, g.object, string_agg(distinct g.grantee, ', '))
    from public.fw_grants g where pg_has_role(g.owner::regrole, 'usage')
    group by g.kind, g.object
  loop
    execute v_statement;
  end loop;
  -- By name, for a new version of a function may have other arguments.
  for v_statement in
    select format('grant %s%s on %s %s to %s%s', k.privilege, case k.column_name when '' then '' else format(' (%I)', k.column_name) end,
      o.kind, o.object, k.grantee::regrole, case when k.is_grantable then ' with grant option' else '' end)
    from public.fw_kept_grants k
    join pg_catalog.pg_roles r on r.oid = k.grantee
    join (
      select case c.relkind when 'S' then 'sequence' else 'table' end as kind, format('%I.%I', n.nspname, c.relname) as object,
        n.nspname || '.' || c.relname as name, c.oid
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      union all
      select 'routine', format('public.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)), 'public.' || p.proname, null
      from pg_catalog.pg_proc p where p.pronamespace = 'public'::regnamespace
      union all
      select 'type', format('%I.%I', n.nspname, t.typname), n.nspname || '.' || t.typname, null
      from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
      union all
      select 'schema', format('%I', n.nspname), n.nspname::text, null from pg_catalog.pg_namespace n
    ) o on o.kind = k.kind and o.name = k.name
    where k.privilege = any (c_privileges) and (k.kind = 'schema' and k.name = 'graphile_migrate' or k.name ~ '^(public\.fw_|graphile_migrate\.|pgmq\.[qa]_workflow_)')
      and (k.column_name = '' or exists (select from pg_catalog.pg_attribute a where a.attrelid = o.oid and a.attname = k.column_name and not a.attisdropped))
  loop
    execute v_statement;
  end loop;
  delete from public.fw_kept_grants;
  insert into public.fw_worker_config as c (closed_as) values (public.fw_closed_as())
    on conflict (only_row) do update set closed_as = excluded.closed_as, grants_noted_at = null;
  return query select unnest(v_taken);
end
$$;
comment on function public.fw_close_to_others() is
  'What every migrate calls at its end: everybody but the owners loses all privileges on the objects of the worker, then what fw_note_grants has noted is granted again. On the first migrate of these tables nothing was noted; returns statements that would give back what was taken away then.';
