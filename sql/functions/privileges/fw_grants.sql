create or replace view public.fw_grants with (security_invoker = true) as
  with relations as (
    select c.oid, c.relname, c.relkind, c.relowner, c.relacl, n.nspname
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      and (n.nspname = 'public' and c.relname like 'fw\_%' or n.nspname = 'graphile_migrate'
        or n.nspname = 'pgmq' and c.relname ~ '^[qa]_(workflow_execution_queue|workflow_dlq)(_msg_id_seq)?$')
  ), objects (kind, object, name, column_name, owner, acl) as (
    select 'schema', format('%I', n.nspname), n.nspname::text, '', n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner))
    from pg_catalog.pg_namespace n where n.nspname = 'graphile_migrate'
    union all
    select case r.relkind when 'S' then 'sequence' else 'table' end, format('%I.%I', r.nspname, r.relname), r.nspname || '.' || r.relname, '', r.relowner,
      coalesce(r.relacl, acldefault(case r.relkind when 'S' then 's' else 'r' end::"char", r.relowner))
    from relations r
    union all
    select 'table', format('%I.%I', r.nspname, r.relname), r.nspname || '.' || r.relname, a.attname::text, r.relowner, a.attacl
    from relations r join pg_catalog.pg_attribute a on a.attrelid = r.oid where a.attacl is not null and not a.attisdropped
    union all
    select 'routine', format('%I.%I(%s)', 'public', p.proname, pg_get_function_identity_arguments(p.oid)), 'public.' || p.proname, '', p.proowner,
      coalesce(p.proacl, acldefault('f', p.proowner))
    from pg_catalog.pg_proc p where p.pronamespace = 'public'::regnamespace and p.proname like 'fw\_%'
    union all
    -- An array type has no privileges of its own; the type of a table's rows has.
    select 'type', format('%I.%I', n.nspname, t.typname), n.nspname || '.' || t.typname, '', t.typowner, coalesce(t.typacl, acldefault('T', t.typowner))
    from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
    where t.typtype in ('b', 'c', 'd', 'e', 'r') and t.typcategory <> 'A'
      and (n.nspname = 'public' and t.typname like 'fw\_%' or n.nspname = 'graphile_migrate'
        or n.nspname = 'pgmq' and t.typname ~ '^[qa]_(workflow_execution_queue|workflow_dlq)(_vt_idx)?$')
  )
  select o.kind, o.object, o.name, o.column_name, o.owner::regrole::text as owner,
    case x.grantee when 0 then 'PUBLIC' else x.grantee::regrole::text end as grantee, x.grantee as grantee_oid,
    x.privilege_type as privilege, x.is_grantable
  from objects o cross join lateral aclexplode(o.acl) x
  where x.grantee <> o.owner;
comment on view public.fw_grants is
  'Who may do what: every privilege on an object of the worker, its two queues or its history of migrations that somebody other than the owner of the object has. Row-level security keeps all rows from those roles nevertheless, unless a policy lets them pass.';
