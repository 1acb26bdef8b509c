// One transaction on a connection of the executor's own: the user's SQL, what the worker adds to it, and the commit.
import pg from 'pg'
import type { TransactionClient } from './context.js'
import { sqlState } from './database-errors.js'
import { UsageError, WorkerError } from './errors.js'
import { write } from './kill-points.js'

export interface TransactionParts<Result> {
  /** Name of the step, for errors. */
  step: string
  /** When it fires, the connection is closed at once, whatever runs on it, and the server rolls back. */
  signal: AbortSignal
  work: (sql: TransactionClient) => Promise<Result>
  beforeCommit: (result: Result) => Promise<void>
}

const FAILED_TRANSACTION = '25P02'

/**
 * Runs the parts in a transaction and commits it; rolls back when one of them fails. Releases the connection.
 * @throws what a part throws; UsageError when the work ended the transaction itself; the signal's reason
 */
export async function inTransaction<Result>(client: pg.PoolClient, parts: TransactionParts<Result>): Promise<Result> {
  const { step, signal, work, beforeCommit } = parts
  const state = { isReleased: false, isOver: false }
  const release = (broken?: Error) => {
    if (!state.isReleased) client.release(broken)
    state.isReleased = true
  }
  const cut = () => {
    release(new Error('the run was stopped'))
  }
  const send = client.query.bind(client) as (...asked: unknown[]) => unknown
  const query = ((...asked: unknown[]) => {
    if (state.isOver) return Promise.reject(new UsageError(`step '${step}' is over, and with it the transaction that it was given`))
    return send(...asked)
  }) as TransactionClient['query']

  signal.addEventListener('abort', cut)
  try {
    signal.throwIfAborted()
    await client.query('begin')
    try {
      const result = await work({ query })
      state.isOver = true
      if (client.getTransactionStatus() === 'I') {
        throw new UsageError(`step '${step}' ended the transaction that it was given; leave commit and rollback to the worker`)
      }
      await beforeCommit(result)
      await write('commit', () => client.query('commit'))
      return result
    } catch (error) {
      // A connection that cannot roll back is thrown away.
      if (!state.isReleased) await client.query('rollback').catch((lost: unknown) => { release(lost instanceof Error ? lost : new Error(String(lost))) })
      if (sqlState(error) !== FAILED_TRANSACTION) throw error
      throw new WorkerError('TRANSACTION_FAILED', `a query of step '${step}' failed and the step went on; its transaction is rolled back`, { cause: error })
    }
  } finally {
    state.isOver = true
    signal.removeEventListener('abort', cut)
    release()
  }
}

/** Whether a value is what pg returns for a query, or for several in one text. */
export function isQueryResult(value: unknown): boolean {
  return value instanceof pg.Result || (Array.isArray(value) && value.length > 0 && value.every((each) => each instanceof pg.Result))
}
