// The database that a command works on: which one, and one connection to it for as long as the command needs it.
import type { Command } from 'commander'
import type pg from 'pg'
import type { z } from 'zod'
import { connectOwn, ownClient } from '../connections.js'
import type { Queryable } from '../protocol.js'
import { checkSchemaVersion } from '../schema-version.js'
import { EXIT } from './exit-codes.js'
import { CommandFailure, explainConnecting, messageOf } from './failure.js'
import { FW } from './output.js'

export interface DatabaseOptions {
  databaseUrl?: string
}

export interface Database {
  /** The connection, for functions that every client uses. */
  readonly sql: Queryable
  /** Runs one statement; its rows must fit the shape. */
  rows: <Row>(shape: z.ZodType<Row>, text: string, values?: readonly unknown[]) => Promise<Row[]>
  /** The same for a statement that returns exactly one row. */
  row: <Row>(shape: z.ZodType<Row>, text: string, values?: readonly unknown[]) => Promise<Row>
}

const CONNECT_WITHIN_MS = 15_000

export function addDatabaseOption(command: Command): Command {
  return command.option('--database-url <url>', 'Postgres to work on (default: environment variable DATABASE_URL)')
}

/** @throws CommandFailure when none is given, or what is given is no URL of a Postgres */
export function databaseUrl(options: DatabaseOptions): string {
  const url = options.databaseUrl ?? process.env['DATABASE_URL'] ?? ''
  const source = options.databaseUrl === undefined ? 'DATABASE_URL' : '--database-url'
  if (url === '') {
    throw new CommandFailure(EXIT.usage, `which database? ${options.databaseUrl === undefined ? 'DATABASE_URL is not set' : '--database-url is empty'}`, {
      hint: `\`${FW} dev\` starts a Postgres for development and prints its URL; or pass --database-url postgres://user:password@host:5432/name`,
    })
  }
  if (!/^postgres(ql)?:\/\//.test(url)) {
    throw new CommandFailure(EXIT.usage, `${source} is no URL of a Postgres`, {
      hint: 'It looks like postgres://user:password@host:5432/name',
    })
  }
  try {
    newClient(url)
  } catch (error) {
    throw new CommandFailure(EXIT.usage, `${source} can't be read: ${messageOf(error)}`, {
      cause: error,
      hint: 'It looks like postgres://user:password@host:5432/name, with special characters of the password percent-encoded (# is %23).',
    })
  }
  return url
}

/** Names the database to people: user, host, port and database, never the password. */
export function databaseName(url: string): string {
  const { user, host, port, database } = newClient(url)
  return `${user ?? ''}@${host}:${port}/${database ?? ''}`
}

/**
 * Connects, and closes when the work is done.
 * @param setUp whether the schema must be there, in a version that we speak. Default: true.
 * @throws CommandFailure when there is no connection; SchemaVersionError; whatever the work throws
 */
export async function withDatabase<Result>(
  url: string,
  work: (database: Database) => Promise<Result>,
  { setUp = true }: { setUp?: boolean } = {},
): Promise<Result> {
  const client = newClient(url)
  try {
    await connectOwn(client)
  } catch (error) {
    await client.end().catch(() => undefined)
    const { message, more } = explainConnecting(error)
    throw new CommandFailure(EXIT.database, message, { cause: error, ...(more === undefined ? {} : { hint: more }) })
  }
  try {
    if (setUp) await checkSchemaVersion(client)
    return await work(on(client))
  } finally {
    await client.end().catch(() => undefined)
  }
}

function newClient(connectionString: string): pg.Client {
  return ownClient({ connectionString, application_name: 'fw cli', connectionTimeoutMillis: CONNECT_WITHIN_MS })
}

function on(client: pg.Client): Database {
  const rows: Database['rows'] = async (shape, text, values = []) => {
    const result = await client.query<Record<string, unknown>>(text, [...values])
    return shape.array().parse(result.rows)
  }
  return {
    sql: client,
    rows,
    row: async (shape, text, values) => {
      const [first] = await rows(shape, text, values)
      if (first === undefined) throw new Error(`no row came back from: ${text}`)
      return first
    },
  }
}
