// What a role needs to migrate: found out before anything is changed, and told all at once, as statements for whoever may grant it.
import type { ClientBase } from 'pg'
import { z } from 'zod'
import { PrivilegesMissingError } from './errors.js'

const Statements = z.array(z.object({ statement: z.string() }))

/**
 * A row for each thing that the role lacks, in the order in which it would fail. What belongs to another role can't be replaced: then the
 * role has to be a member of that one. $1: whether tables will be made, not only functions replaced.
 */
const LACKING = `
  select statement from (
    select 1 as place, format('grant create on database %I to %I;', current_database(), current_user) as statement
    where $1 and not has_database_privilege(current_database(), 'create')
    union all
    select 2, format('grant usage, create on schema public to %I;', current_user)
    where not has_schema_privilege('public', 'usage') or not has_schema_privilege('public', 'create')
    union all
    select 3, format('grant usage, create on schema pgmq to %I;', current_user)
    where not has_schema_privilege('pgmq', 'usage') or ($1 and not has_schema_privilege('pgmq', 'create'))
    union all
    select 4, format('grant select, insert on pgmq.meta to %I;', current_user)
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where $1 and n.nspname = 'pgmq' and c.relname = 'meta' and not (has_table_privilege(c.oid, 'insert') and has_table_privilege(c.oid, 'select'))
    union all
    select 5, format('grant execute on all functions in schema pgmq to %I;', current_user)
    where exists (
      select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'pgmq' and not has_function_privilege(p.oid, 'execute'))
    union all
    select distinct 6, format('grant %I to %I;', o.owner, current_user)
    from (
      select pg_catalog.pg_get_userbyid(c.relowner) as owner from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where ((n.nspname = 'public' and c.relname like 'fw\\_%' and c.relkind in ('r', 'v')) or (n.nspname = 'graphile_migrate' and c.relkind = 'r')
        or (n.nspname = 'pgmq' and c.relname in ('q_workflow_execution_queue', 'q_workflow_dlq')))
      union
      select pg_catalog.pg_get_userbyid(p.proowner) from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'public' and p.proname like 'fw\\_%'
    ) o
    where not pg_catalog.pg_has_role(o.owner, 'usage')
  ) lacking
  order by place, statement`

/**
 * Refuses to begin when the role lacks something that migrating needs.
 * @param makesTables whether committed migrations will be applied
 * @throws PrivilegesMissingError with all that is missing, as statements
 */
export async function requirePrivileges(client: ClientBase, makesTables: boolean): Promise<void> {
  const { rows } = await client.query(LACKING, [makesTables])
  const statements = Statements.parse(rows).map(({ statement }) => statement)
  if (statements.length === 0) return
  const { rows: who } = await client.query<{ role: string; database: string }>('select current_user as role, current_database() as database')
  throw new PrivilegesMissingError(who[0]?.role ?? '', who[0]?.database ?? '', statements)
}

/** Whether the role may look at the history of migrations, if there is one. Where it may not, that belongs to another role. */
export async function mayReadHistory(client: ClientBase): Promise<boolean> {
  const barred = await client.query("select from pg_catalog.pg_namespace n where n.nspname = 'graphile_migrate' and not has_schema_privilege(n.oid, 'usage')")
  return barred.rowCount === 0
}

/** The statements with which a superuser prepares a database in which another role migrates. */
export async function preparation(client: ClientBase): Promise<string[]> {
  const { rows } = await client.query(
    `select format(statement, current_user) as statement from unnest(array[
       'create extension pgmq;', 'grant usage, create on schema pgmq to %1$I;', 'grant select, insert on pgmq.meta to %1$I;']) as statement
     union all
     select format('grant create on database %I to %I;', current_database(), current_user) where not has_database_privilege(current_database(), 'create')
     union all
     select format('grant usage, create on schema public to %I;', current_user)
     where not has_schema_privilege('public', 'usage') or not has_schema_privilege('public', 'create')`,
  )
  return Statements.parse(rows).map(({ statement }) => statement)
}
