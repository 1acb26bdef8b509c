// One transaction step: a session of its own, the user's SQL, the checkpoint beside it, and a commit whose fate is known.
//
//   begin · the user's queries · end the user's settings · checkpoint · commit        then: clean the session, give it back
//
// The transaction is told from any other by a setting that ends with it: a step that ends it and begins another is found out.
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { COLUMN_TYPES } from './column-types.js'
import { COMMIT_MS } from './connections.js'
import type { TransactionClient } from './context.js'
import { sqlState } from './database-errors.js'
import { LONGEST_TIMER_MS } from './duration.js'
import { UsageError, WorkerError } from './errors.js'
import { write } from './kill-points.js'
import { StepClient } from './step-client.js'
import type { BackendTransaction, StepFate } from './protocol.js'
import { fateOfStep } from './transaction-fate.js'

export interface TransactionParts<Result> {
  /** Name of the step, for errors. */
  step: string
  /** When it fires, the connection is closed at once, whatever runs on it, and the server rolls back. */
  signal: AbortSignal
  connect: () => Promise<pg.PoolClient>
  work: (sql: TransactionClient) => Promise<Result>
  /** Records the step. The transaction can write, and has the role and the settings of the connection. */
  beforeCommit: (client: pg.PoolClient, result: Result) => Promise<void>
  /** Asked when the commit got no answer. */
  fate: (transaction: BackendTransaction) => Promise<StepFate>
}

const FAILED_TRANSACTION = '25P02'
/** After a commit that surely did not happen, the transaction is tried again so often. */
const MOST_TRIES = 3

/**
 * What a step may have set for the rest of its transaction and the checkpoint must not have. Deferred constraints and triggers come
 * before, under the role and the settings of the step.
 */
const END_SETTINGS = [
  'set constraints all immediate',
  'set local session authorization default',
  'set local role to default',
  "set local client_encoding to 'UTF8'",
  'set local statement_timeout to 0',
  'set local lock_timeout to 0',
  'set local synchronous_commit to default',
].join('; ')

/** A transaction that may write has an id from here on; another one has one only when it wrote before. */
const DESCRIBE = `select coalesce(current_setting('fw.step', true), '') as mark, pg_backend_pid() as pid,
  current_setting('transaction_read_only') = 'on' as "isReadOnly",
  case when current_setting('transaction_read_only') = 'on' then pg_current_xact_id_if_assigned() else pg_current_xact_id() end::text as id`

/** What `discard all` does, but plans stay, which are no state of anybody. */
const CLEAN_SESSION = [
  'close all', 'set session authorization default', 'reset role', 'reset all', 'deallocate all', 'unlisten *',
  'select pg_advisory_unlock_all()', 'discard temp', 'discard sequences',
].join('; ')

interface Description extends pg.QueryResultRow {
  mark: string
  pid: number
  isReadOnly: boolean
  id: string | null
}

/** The connection was lost at the commit, or before it while the checkpoint was on its way. */
interface Unanswered {
  error: unknown
  wasCommitting: boolean
  transaction: BackendTransaction
}

/**
 * Runs the parts in a transaction and commits it; rolls back when one of them fails. When the commit gets no answer, it finds out what
 * became of it: when it happened, all is as if the answer had come; when it surely did not, the transaction is tried again.
 * @throws what a part throws; UsageError when the work ended the transaction itself; the signal's reason; CommitUnknownError
 */
export async function inTransaction<Result>(parts: TransactionParts<Result>): Promise<Result> {
  for (let tries = 1; ; tries++) {
    const { result, unanswered } = await once(await parts.connect(), parts)
    if (unanswered === undefined) return result
    const { transaction, error, wasCommitting } = unanswered
    if (!wasCommitting) parts.signal.throwIfAborted()
    if ((await fateOfStep(parts.step, parts.signal, () => parts.fate(transaction))) === 'recorded') return result
    if (tries === MOST_TRIES) throw error
  }
}

async function once<Result>(client: pg.PoolClient, parts: TransactionParts<Result>): Promise<{ result: Result; unanswered?: Unanswered }> {
  const { step, signal, work, beforeCommit } = parts
  const guarded = new StepClient(client, step)
  const state = { isReleased: false }
  const throwAway = () => {
    if (!state.isReleased) client.release(true)
    state.isReleased = true
  }
  signal.addEventListener('abort', throwAway)
  try {
    signal.throwIfAborted()
    const mark = randomUUID()
    await send(client, `begin isolation level read committed; set local fw.step = '${mark}'`)
    const result = await work(guarded.given)
    await guarded.close()
    const transaction = await endOfWork(client, step, mark)
    const unanswered = await conclude(client, transaction, () => beforeCommit(client, result))
    if (unanswered !== undefined) throwAway()
    return unanswered === undefined ? { result } : { result, unanswered }
  } catch (error) {
    // A connection that cannot roll back is thrown away.
    if (!state.isReleased) await send(client, 'rollback').catch(throwAway)
    if (sqlState(error) !== FAILED_TRANSACTION) throw error
    throw new WorkerError('TRANSACTION_FAILED', `a query of step '${step}' failed and the step went on; its transaction is rolled back`, {
      cause: guarded.failure ?? error,
    })
  } finally {
    guarded.over()
    signal.removeEventListener('abort', throwAway)
    if (!state.isReleased) void giveBack(client)
  }
}

/** Checks that the transaction is the one that was begun, and makes it ready for the checkpoint. */
async function endOfWork(client: pg.PoolClient, step: string, mark: string): Promise<BackendTransaction> {
  const found = await describe(client, `${END_SETTINGS}; ${DESCRIBE}`)
  if (found.mark !== mark) {
    throw new UsageError(
      `step '${step}' ended the transaction that it was given and began another (or reset all settings); leave commit and rollback to the worker. ` +
        'The other one is rolled back, and the step is not recorded',
    )
  }
  if (!found.isReadOnly) return known(found)
  if (found.id !== null) {
    throw new UsageError(`step '${step}' wrote something and then made its transaction read only, so that its checkpoint cannot be written in it; it is rolled back`)
  }
  // Nothing was written: that it was read is recorded in a transaction of its own.
  await send(client, 'commit')
  await clean(client)
  await send(client, 'begin isolation level read committed read write')
  return known(await describe(client, DESCRIBE))
}

function known({ pid, id }: Description): BackendTransaction {
  if (id === null) throw new Error('the transaction of the checkpoint has no id')
  return { pid, id }
}

/** Records the step and commits. Returns the error when the server did not answer one of them. */
async function conclude(client: pg.PoolClient, transaction: BackendTransaction, record: () => Promise<void>): Promise<Unanswered | undefined> {
  let wasCommitting = false
  let answer: pg.QueryResult
  try {
    await record()
    wasCommitting = true
    answer = await write('commit', () => send(client, 'commit'))
  } catch (error) {
    // The server says no, and goes on to serve the session: that is an answer. An error that ends the session is none.
    const mayBeAnswered = !wasCommitting || sqlState(error) !== undefined
    if (mayBeAnswered && (await send(client, 'rollback').then(() => true, () => false))) throw error
    return { error, wasCommitting, transaction }
  }
  if (answer.command !== 'COMMIT') throw new WorkerError('TRANSACTION_FAILED', 'the server rolled the transaction back instead of committing it')
  return undefined
}

async function describe(client: pg.PoolClient, text: string): Promise<Description> {
  // Deferred constraints may take their time.
  const query = { text, types: COLUMN_TYPES, query_timeout: LONGEST_TIMER_MS }
  const results: unknown = await client.query<Description>(query)
  const last = [results].flat().at(-1) as pg.QueryResult<Description>
  const [found] = last.rows
  if (found === undefined) throw new Error('the server does not describe its transaction')
  return found
}

async function send(client: pg.PoolClient, text: string): Promise<pg.QueryResult> {
  const query = { text, query_timeout: COMMIT_MS }
  return await client.query(query)
}

/** Nothing that a step has set up in its session reaches the next one. The step is not kept waiting for it. */
async function giveBack(client: pg.PoolClient): Promise<void> {
  try {
    await clean(client)
    client.release()
  } catch {
    client.release(true)
  }
}

async function clean(client: pg.PoolClient): Promise<void> {
  await send(client, CLEAN_SESSION)
  // pg remembers what was prepared on the connection, and the server does not any more.
  const { connection } = client as unknown as { connection?: Record<'parsedStatements' | 'submittedNamedStatements', unknown> }
  if (typeof connection?.parsedStatements !== 'object') throw new Error('it is not known what pg remembers as prepared')
  connection.parsedStatements = {}
  connection.submittedNamedStatements = {}
}

/** Whether a value is what pg returns for a query, or for several in one text. */
export function isQueryResult(value: unknown): boolean {
  return value instanceof pg.Result || (Array.isArray(value) && value.length > 0 && value.every((each) => each instanceof pg.Result))
}
