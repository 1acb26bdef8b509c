// Makes sure that the database has pgmq, the queues that everything is built on.
import { type ClientBase, DatabaseError } from 'pg'
import { PgmqMissingError } from './errors.js'
import { preparation } from './privileges.js'

const INSUFFICIENT_PRIVILEGE = '42501'

/**
 * Creates the extension pgmq where it is available and not there yet. A pgmq that was installed by running its SQL
 * (no extension) will do.
 * @throws PgmqMissingError saying how to install it.
 */
export async function ensurePgmq(client: ClientBase): Promise<void> {
  // In the catalogue, for the role may lack USAGE on the schema yet.
  const present = await client.query(
    "select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace where n.nspname = 'pgmq' and p.proname = 'create' and p.pronargs = 1",
  )
  if (present.rowCount !== 0) return
  const available = await client.query("select 1 from pg_available_extensions where name = 'pgmq'")
  if (available.rowCount === 0) throw new PgmqMissingError(await howToInstall(client))
  try {
    await client.query('create extension if not exists pgmq')
    await closeSchema(client)
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.code !== INSUFFICIENT_PRIVILEGE) throw error
    throw new PgmqMissingError(
      'This database has no pgmq yet, and this role may not create it. Let a superuser (or the owner that your provider ' +
        `gives you) run in this database:\n${(await preparation(client)).map((statement) => `  ${statement}`).join('\n')}\nThen migrate again.`,
      { cause: error },
    )
  }
}

/** Default privileges of the host may have let others into the schema that was made just now. The extension itself lets pg_monitor in. */
async function closeSchema(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ statement: string }>(
    `select format('revoke all on schema pgmq from %s', case x.grantee when 0 then 'public' else x.grantee::regrole::text end) as statement
     from pg_catalog.pg_namespace n cross join lateral pg_catalog.aclexplode(n.nspacl) x
     where n.nspname = 'pgmq' and x.grantee not in (n.nspowner, 'pg_monitor'::regrole) and pg_catalog.pg_has_role(n.nspowner, 'usage')`,
  )
  for (const { statement } of rows) await client.query(statement)
}

async function howToInstall(client: ClientBase): Promise<string> {
  const { rows } = await client.query<{ version: string }>("select current_setting('server_version') as version")
  return [
    `The extension pgmq is missing on this server (Postgres ${rows[0]?.version ?? 'unknown'}). It is plain SQL: no compiler, no restart.`,
    'Hosted Postgres: turn on the extension "pgmq" in the provider\'s console.',
    'Your own server: put pgmq.control and pgmq--*.sql of github.com/pgmq/pgmq (folder pgmq-extension) into the folder ' +
      'extension below `pg_config --sharedir`, then run in this database: create extension pgmq;',
    'No access to the server\'s files: run pgmq-extension/sql/pgmq.sql of the same repository in this database, ' +
      'after: create schema pgmq;',
    'Then migrate again.',
  ].join('\n')
}
