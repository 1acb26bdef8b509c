// Turns whatever a command throws into an exit code and a line or two that a person can act on.
import pg from 'pg'
import { sqlState } from '../database-errors.js'
import { RefusedError, UsageError, WorkerError } from '../errors.js'
import { SqlFileError } from '../migrate/index.js'
import { EXIT, type ExitCode } from './exit-codes.js'

/** A command can't do what it was asked to. */
export class CommandFailure extends WorkerError {
  readonly exitCode: ExitCode
  /** What to do about it. */
  readonly hint: string | undefined

  constructor(exitCode: ExitCode, message: string, options: ErrorOptions & { hint?: string } = {}) {
    super('COMMAND_FAILED', message, options)
    this.exitCode = exitCode
    this.hint = options.hint
  }
}

export interface Explanation {
  exitCode: ExitCode
  message: string
  /** The server's detail and hint, or ours. */
  more?: string | undefined
}

/** Codes of this package's errors that say that the database is not there or not fit. */
const DATABASE_CODES = /^(SCHEMA_|PGMQ_MISSING$|PRIVILEGES_MISSING$|FOREIGN_MIGRATIONS$|EMBEDDED_)/

/** SQLSTATEs (or their classes) of a server that does not let us work at all. */
const DATABASE_STATES = /^(08...|28...|3D000|42501|53300|57P..)$/

/** SQLSTATEs that a database without our schema answers with: no such function, table, schema. */
const SCHEMA_STATES = new Set(['42883', '42P01', '3F000'])

/** Classes of SQLSTATEs that lie in what was passed: a value that is none, or out of range. */
const VALUE_STATES = /^(22...|23...)$/

export function explain(error: unknown): Explanation {
  if (error instanceof CommandFailure) return { exitCode: error.exitCode, message: error.message, more: error.hint }
  if (error instanceof UsageError) return { exitCode: EXIT.usage, message: error.message }
  if (error instanceof RefusedError) {
    const said = [error.detail, error.hint].filter((text) => text !== undefined && text !== '')
    return { exitCode: error.code === 'VALUE_REFUSED' ? EXIT.usage : EXIT.failed, message: error.message, more: said.length === 0 ? undefined : said.join(' ') }
  }
  if (error instanceof SqlFileError) return { exitCode: EXIT.failed, message: error.message, more: hintsOf(error.cause) }
  if (error instanceof pg.DatabaseError) return explainServerError(error)
  const unreachable = explainUnreachable(error)
  if (unreachable !== undefined) return unreachable
  const exitCode = DATABASE_CODES.test(codeOf(error) ?? '') ? EXIT.database : EXIT.failed
  return { exitCode, message: messageOf(error) }
}

/** What was wrong with a connection that could not be made, whatever it was. */
export function explainConnecting(error: unknown): Explanation {
  const found = error instanceof pg.DatabaseError ? explainServerError(error) : explainUnreachable(error)
  return { ...(found ?? { message: `the database can't be reached: ${messageOf(error)}` }), exitCode: EXIT.database }
}

/** For standard error; a stack only with FW_DEBUG=1. */
export function failureText(error: unknown, { message, more }: Explanation): string {
  const [first = '', ...others] = [...message.split('\n'), ...(more?.split('\n') ?? [])]
  const lines = [`error: ${first}`, ...others.map((line) => `  ${line}`)]
  if (process.env['FW_DEBUG'] === '1' && error instanceof Error) lines.push(error.stack ?? '')
  return lines.join('\n')
}

function explainServerError(error: pg.DatabaseError): Explanation {
  const state = sqlState(error) ?? ''
  if (SCHEMA_STATES.has(state)) {
    return { exitCode: EXIT.database, message: `the database isn't set up: ${error.message}`, more: 'Run `fw migrate`.' }
  }
  const exitCode = DATABASE_STATES.test(state) ? EXIT.database : VALUE_STATES.test(state) ? EXIT.usage : EXIT.failed
  return { exitCode, message: error.message, more: hintsOf(error) ?? ownHint(state) }
}

function hintsOf(error: unknown): string | undefined {
  if (!(error instanceof pg.DatabaseError)) return undefined
  const said = [error.detail, error.hint].filter((text) => text !== undefined && text !== '')
  return said.length === 0 ? undefined : said.join(' ')
}

function ownHint(state: string): string | undefined {
  if (state.startsWith('28')) return 'Check the user and the password in the database URL.'
  if (state === '3D000') return 'Create the database, or correct the name at the end of the database URL.'
  if (state === '42501') return 'Connect as a role that may do this, such as the owner of the schema.'
  return undefined
}

const START_ONE = 'Start it, or correct the database URL; `fw dev` starts a Postgres to try things out with.'

function explainUnreachable(thrown: unknown): Explanation | undefined {
  // A name with several addresses: one error for each.
  const error: unknown = thrown instanceof AggregateError ? (thrown.errors[0] ?? thrown) : thrown
  const exitCode = EXIT.database
  const code = codeOf(error) ?? ''
  if (code === 'ECONNREFUSED') return { exitCode, message: `no Postgres answers at ${addressOf(error)}`, more: START_ONE }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return { exitCode, message: `there is no host '${field(error, 'hostname') ?? ''}'`, more: START_ONE }
  }
  if (/^(ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ECONNRESET|EPIPE)$/.test(code)) {
    return { exitCode, message: `no connection to Postgres at ${addressOf(error)} (${messageOf(error)})`, more: START_ONE }
  }
  if (error instanceof Error && /^(Connection terminated|timeout expired|timeout exceeded when)/.test(error.message)) {
    return { exitCode, message: `the connection to the database was lost: ${error.message}` }
  }
  return undefined
}

function addressOf(error: unknown): string {
  const port = field(error, 'port')
  return `${field(error, 'address') ?? 'its address'}${port === undefined ? '' : `:${port}`}`
}

function codeOf(error: unknown): string | undefined {
  return field(error, 'code')
}

function field(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null || !(name in value)) return undefined
  const found: unknown = value[name as keyof typeof value]
  return typeof found === 'string' || typeof found === 'number' ? String(found) : undefined
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error)
}
