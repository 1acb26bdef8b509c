// The calls of a client to the database: over which connections, in which isolation, and what its errors become.
import type pg from 'pg'
import type { ClientOptions } from './client-options.js'
import { COLUMN_TYPES } from './column-types.js'
import { CONNECT_MS, inReadCommitted, ownPool } from './connections.js'
import { sqlState } from './database-errors.js'
import type { Queryable } from './protocol.js'
import { refusalOf } from './refusals.js'

const SERIALIZATION_FAILURE = '40001'
const MOST_CONFLICTS = 10

export interface Call {
  text: string
  values: unknown[]
  /** A client that is inside a transaction of the caller's. */
  transaction?: Queryable | undefined
  /** The execution that the call is about, for its error. */
  executionId?: string
}

export class ClientCalls {
  readonly pool: pg.Pool
  readonly #ownsPool: boolean

  constructor(options: ClientOptions) {
    this.#ownsPool = 'connectionString' in options
    this.pool =
      'pool' in options
        ? options.pool
        : ownPool({ connectionString: options.connectionString, application_name: 'fw client', connectionTimeoutMillis: CONNECT_MS })
  }

  /**
   * One statement that is right in any isolation, as an enqueue.
   * @param call its rows come as arrays; `name` is what it is prepared as
   */
  async statement<Row extends unknown[]>({ text, values, transaction, name }: Call & { name: string }): Promise<Row[]> {
    const query = {
      // Prepared on connections of our own only: others may go through a pooler that knows no prepared statements.
      ...(this.#ownsPool && transaction === undefined ? { name } : {}),
      text,
      values,
      rowMode: 'array' as const,
      types: COLUMN_TYPES,
    }
    return await translated(undefined, async () => {
      const sent = transaction === undefined ? whileItConflicts(() => this.pool.query<Row>(query)) : transaction.query<Row>(query)
      return (await sent).rows
    })
  }

  /** A call that changes something and relies on READ COMMITTED, which a pool of the caller's may not have. */
  async change<Row extends pg.QueryResultRow>({ text, values, transaction, executionId }: Call): Promise<Row | undefined> {
    const query = { text, values, types: COLUMN_TYPES }
    return await translated(executionId, async () => {
      if (transaction !== undefined) return (await transaction.query<Row>(query)).rows[0]
      const { rows } = this.#ownsPool ? await this.pool.query<Row>(query) : await inReadCommitted(this.pool, (sql) => sql.query<Row>(query))
      return rows[0]
    })
  }

  /** Reads something, with errors of ours. */
  async read<Answer>(work: (sql: Queryable) => Promise<Answer>): Promise<Answer> {
    return await translated(undefined, () => work(this.pool))
  }

  /** Closes connections of our own; a pool that was passed in stays open. */
  async close(): Promise<void> {
    if (this.#ownsPool && !this.pool.ending) await this.pool.end()
  }
}

async function translated<Answer>(executionId: string | undefined, work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work()
  } catch (error) {
    throw refusalOf(error, executionId)
  }
}

/** A single statement on a pool whose transactions may be stricter than READ COMMITTED: one that met another's is sent again. */
async function whileItConflicts<Answer>(send: () => Promise<Answer>): Promise<Answer> {
  for (let conflict = 1; ; conflict++) {
    try {
      return await send()
    } catch (error) {
      if (sqlState(error) !== SERIALIZATION_FAILURE || conflict === MOST_CONFLICTS) throw error
    }
  }
}
