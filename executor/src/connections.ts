// Every connection of ours is made here, and is the same whatever the program, the database or the role has set for others:
// its own parsers of columns, no defaults of somebody else's, dates as our parsers read them, and READ COMMITTED, on which
// the SQL functions rely.
import pg from 'pg'
import { COLUMN_TYPES } from './column-types.js'
import { WorkerError } from './errors.js'
import type { Logger } from './logger.js'

export const CONNECT_MS = 10_000
/** A call that takes longer has lost its server. */
export const ANSWER_MS = 30_000
/** The same for a single step of a transaction's end, which is quick, and after which it can be found out what became of it. */
export const COMMIT_MS = 10_000

/** Settings that change how values look on the wire. A connection changes those that differ, and nothing where all is as usual. */
const WIRE_SETTINGS = {
  client_encoding: 'UTF8',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
}

const SET_UP = `select pg_backend_pid()::text as pid, current_setting('default_transaction_isolation') as isolation, current_user as role,
  (select count(set_config(s.name, s.value, false)) from (values ${Object.entries(WIRE_SETTINGS).map(([name, value]) => `('${name}', '${value}')`).join()})
     as s (name, value) where current_setting(s.name) <> s.value) as changed`

const TIMEOUTS = ['query_timeout', 'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'] as const

interface SetUp {
  pid: string
  isolation: string
  role: string
}

/** The database's default is not READ COMMITTED, and behind this pooler a connection cannot have its own. */
export class IsolationError extends WorkerError {
  constructor(isolation: string, role: string) {
    super(
      'ISOLATION',
      `transactions of role ${role} are ${isolation.toUpperCase()} by default, and the connection goes through a pooler, where a session cannot ` +
        `change that for itself. Run: alter role "${role.replaceAll('"', '""')}" set default_transaction_isolation = 'read committed'`,
    )
  }
}

/** A client that nobody else's defaults reach. */
class OwnClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config)
    const own = this as unknown as { binary: boolean; connectionParameters: Record<(typeof TIMEOUTS)[number], unknown> }
    own.binary = false
    const given: pg.ClientConfig = typeof config === 'object' ? config : {}
    for (const timeout of TIMEOUTS) {
      // One that the connection string names is meant for us.
      if (given[timeout] === undefined && own.connectionParameters[timeout] === pg.defaults[timeout]) own.connectionParameters[timeout] = false
    }
  }
}

/**
 * A pool of connections for our own calls.
 * @param onLost told of an idle connection that was lost; a query on a lost connection fails by itself
 */
export function ownPool(config: pg.PoolConfig, onLost: (error: Error) => void = () => undefined): pg.Pool {
  return newPool({ ...config, types: COLUMN_TYPES, Client: OwnClient, verify: setUpFirst }, onLost)
}

/** A pool for the steps' transactions, whose clients are such as the user's program would make them. */
export function stepsPool(config: pg.PoolConfig, onLost: (error: Error) => void): pg.Pool {
  return newPool(config, onLost)
}

/** A single connection for our own calls. The caller ends it. */
export function ownClient(config: pg.ClientConfig): pg.Client {
  const client = new OwnClient({ ...config, types: COLUMN_TYPES })
  // A lost connection fails the query that is running, or the next one.
  client.on('error', () => undefined)
  return client
}

/** Connects a client of ownClient(). */
export async function connectOwn(client: pg.Client): Promise<void> {
  await client.connect()
  try {
    await setUp(client)
  } catch (error) {
    await client.end().catch(() => undefined)
    throw error
  }
}

/** Does the work in a READ COMMITTED transaction on a pool of the caller's, and commits it. */
export async function inReadCommitted<Result>(pool: pg.Pool, work: (sql: pg.ClientBase) => Promise<Result>): Promise<Result> {
  const client = await pool.connect()
  const send = async (text: string) => {
    const query = { text, query_timeout: ANSWER_MS }
    await client.query(query)
  }
  let broken = true
  try {
    await send('begin isolation level read committed')
    try {
      const result = await work(client)
      await send('commit')
      broken = false
      return result
    } catch (error) {
      // A connection that cannot roll back is thrown away.
      broken = await send('rollback').then(() => false, () => true)
      throw error
    }
  } finally {
    client.release(broken)
  }
}

/** For the executor's pools. */
export function warnOfLoss(logger: Logger): (error: Error) => void {
  return (error) => {
    logger.warn({ err: error }, 'a database connection was lost; a new one is made when needed')
  }
}

function newPool(config: pg.PoolConfig, onLost: (error: Error) => void): pg.Pool {
  const pool = new pg.Pool(config)
  // A connection that is lost while it is in use fails its query, which is dealt with there.
  pool.on('connect', (client) => client.on('error', () => undefined))
  pool.on('error', onLost)
  return pool
}

function setUpFirst(client: pg.ClientBase, done: (error?: Error) => void): void {
  setUp(client).then(() => {
    done()
  }, done)
}

async function setUp(client: pg.ClientBase): Promise<void> {
  const query = { text: SET_UP, types: COLUMN_TYPES, query_timeout: CONNECT_MS }
  const { rows } = await client.query<SetUp>(query)
  const [found] = rows
  if (found === undefined || found.isolation === 'read committed') return
  // A pooler gives a process id of its own: what is set there, other clients would meet, and we might not.
  const { processID } = client as unknown as { processID: number | null }
  if (found.pid !== String(processID)) throw new IsolationError(found.isolation, found.role)
  await client.query("set default_transaction_isolation = 'read committed'")
}
