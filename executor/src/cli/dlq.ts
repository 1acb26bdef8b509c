// `fw dlq`: lists dead letters, puts them back on the queue, discards old ones.
import type { Command } from 'commander'
import { z } from 'zod'
import { cut } from '../answers.js'
import { sqlState } from '../database-errors.js'
import { messageId, uuid, wholeNumber } from './arguments.js'
import { addDatabaseOption, type Database, databaseUrl, type DatabaseOptions, withDatabase } from './database.js'
import { EXIT } from './exit-codes.js'
import { CommandFailure, messageOf } from './failure.js'
import { note, print, printJson } from './output.js'
import { counted, oneLine, table } from './table.js'

interface ListOptions extends DatabaseOptions {
  organization?: string
  limit: number
  json?: boolean
}

interface RetryOptions extends DatabaseOptions {
  all?: boolean
  organization?: string
}

interface PurgeOptions extends DatabaseOptions {
  olderThan: string
}

const DeadLetter = z.object({
  msgId: z.string(),
  enqueuedAt: z.date(),
  organizationId: z.string().nullable(),
  executionId: z.string().nullable(),
  workflowName: z.string().nullable(),
  attempt: z.string().nullable(),
  error: z.string().nullable(),
  errorCategory: z.string().nullable(),
  failedAt: z.string().nullable(),
  rejected: z.boolean(),
  step: z.string().nullable(),
  executor: z.string().nullable(),
  message: z.unknown(),
})

/** Dead letters that go back in one statement. */
const RETRY_AT_ONCE = 500

/** There is no such dead letter (any more); there is nothing to retry about it; or the database refuses what is in it. */
const NOT_RETRIED = /^(FW00[34]|22...|23...|54...)$/

const isNotRetried = (error: unknown): boolean => NOT_RETRIED.test(sqlState(error) ?? '')

export function addDlqCommand(program: Command): void {
  const dlq = program.command('dlq').summary('dead letters: list, retry, purge').description('Executions that failed for good, and messages that nothing could be run from.')
  addDatabaseOption(dlq.command('list'))
    .description('Lists dead letters, the newest first.')
    .option('--organization <uuid>', 'only of this organization', uuid)
    .option('--limit <number>', 'at most this many', wholeNumber(1, 100_000), 20)
    .option('--json', 'print them as a JSON array, with the whole messages')
    .action(list)
  addDatabaseOption(dlq.command('retry'))
    .description('Puts dead letters back on the queue as attempt 1; steps that were completed do not run again.')
    .argument('[msg_id...]', 'dead letters, as `fw dlq list` numbers them', (text: string, others: string[]) => [...others, messageId(text)], [])
    .option('--all', 'all of them')
    .option('--organization <uuid>', 'with --all: all of this organization', uuid)
    .action(retry)
  addDatabaseOption(dlq.command('purge'))
    .description('Discards old dead letters for good. Their executions stay, as failed.')
    .requiredOption('--older-than <interval>', "age, such as '30 days' or '12 hours'")
    .action(purge)
}

/** What is stored compressed in a megabyte may be a text of 546 MB, which can be counted. */
const WHOLE_MESSAGE = `case when pg_column_size(d.message) <= 1000000 and octet_length(d.message::text) <= 16777216 then d.message
  else jsonb_build_object('left_out', format('the message is too large to be shown: select message from pgmq.q_workflow_dlq where msg_id = %s', d.msg_id)) end as message`

async function list(options: ListOptions): Promise<void> {
  const found = await withDatabase(databaseUrl(options), (database) =>
    database.rows(
      DeadLetter,
      `select d.msg_id as "msgId", d.enqueued_at as "enqueuedAt", d.organization_id as "organizationId",
         d.execution_id as "executionId", ${cut('d.workflow_name')} as "workflowName", ${cut('d.attempt')} as attempt, ${cut('d.error')} as error,
         ${cut('d.error_category')} as "errorCategory", ${cut('d.failed_at')} as "failedAt", d.rejected, ${cut('d.step')} as step,
         ${cut('d.executor')} as executor, ${options.json === true ? WHOLE_MESSAGE : 'null as message'}
       from public.fw_dlq d where $1::uuid is null or d.organization_id = $1 order by d.msg_id desc limit $2`,
      [options.organization ?? null, options.limit + 1],
    ),
  )
  const letters = found.slice(0, options.limit)
  if (options.json === true) printJson(letters)
  else if (letters.length === 0) print('no dead letters')
  else {
    print(
      table(
        [
          { title: 'MSG_ID', value: (row) => row.msgId, align: 'right' },
          { title: 'SINCE', value: (row) => row.enqueuedAt.toISOString().slice(0, 19).replace('T', ' ') },
          { title: 'ORGANIZATION', value: (row) => row.organizationId ?? '-' },
          { title: 'WORKFLOW', value: (row) => oneLine(row.workflowName ?? '-', 40) },
          { title: 'ATTEMPT', value: (row) => oneLine(row.attempt ?? '-', 10), align: 'right' },
          { title: 'CATEGORY', value: (row) => (row.rejected ? 'rejected' : oneLine(row.errorCategory ?? '-', 20)) },
          { title: 'STEP', value: (row) => oneLine(row.step ?? '-', 30) },
          { title: 'ERROR', value: (row) => oneLine(row.error ?? '-', 80) },
        ],
        letters,
      ),
    )
  }
  if (found.length > letters.length) note(`There are more than ${options.limit}; --limit <number> lists more.`)
}

async function retry(ids: string[], options: RetryOptions): Promise<void> {
  const all = options.all === true
  if (all === ids.length > 0) throw new CommandFailure(EXIT.usage, 'retry which dead letters? Name their numbers, or pass --all')
  if (!all && options.organization !== undefined) throw new CommandFailure(EXIT.usage, '--organization goes with --all')
  const { retried, problems } = await withDatabase(databaseUrl(options), (database) =>
    all ? retryAll(database, options.organization ?? null) : retryEach(database, ids),
  )
  for (const problem of problems) note(`not retried: ${problem}`)
  print(`retried ${counted(retried, 'dead letter')}`)
  if (problems.length > 0) throw new CommandFailure(EXIT.failed, `${problems.length} of ${problems.length + retried} were not retried`)
}

interface Retried {
  retried: number
  problems: string[]
}

async function retryEach(database: Database, ids: readonly string[]): Promise<Retried> {
  const result: Retried = { retried: 0, problems: [] }
  for (const id of new Set(ids)) {
    try {
      await database.row(z.object({}), 'select public.fw_dlq_retry($1)', [id])
      result.retried += 1
    } catch (error) {
      if (!isNotRetried(error)) throw error
      result.problems.push(messageOf(error))
    }
  }
  return result
}

/** Up to the last that is there now: one that fails again meanwhile is not retried for ever. */
async function retryAll(database: Database, organizationId: string | null): Promise<Retried> {
  const result: Retried = { retried: 0, problems: [] }
  const { last } = await database.row(z.object({ last: z.string() }), 'select coalesce(max(d.msg_id), 0) as last from public.fw_dlq d')
  for (let after = '0'; ; ) {
    const ids = await database.rows(
      z.object({ id: z.string() }),
      `select d.msg_id as id from public.fw_dlq d
       where d.msg_id > $1 and d.msg_id <= $2 and ($3::uuid is null or d.organization_id = $3) order by d.msg_id limit $4`,
      [after, last, organizationId, RETRY_AT_ONCE],
    )
    const part = await retryTogether(database, ids.map(({ id }) => id))
    result.retried += part.retried
    result.problems.push(...part.problems)
    const next = ids.at(-1)?.id
    if (next === undefined || ids.length < RETRY_AT_ONCE) return result
    after = next
  }
}

async function retryTogether(database: Database, ids: readonly string[]): Promise<Retried> {
  try {
    await database.rows(z.object({}), 'select public.fw_dlq_retry(id) from unnest($1::bigint[]) as id', [ids])
    return { retried: ids.length, problems: [] }
  } catch (error) {
    if (!isNotRetried(error)) throw error
    // One of them can't be: it must not keep the others.
    return retryEach(database, ids)
  }
}

async function purge(options: PurgeOptions): Promise<void> {
  const { purged } = await withDatabase(databaseUrl(options), (database) =>
    database.row(z.object({ purged: z.coerce.number() }), 'select public.fw_dlq_purge($1::interval) as purged', [options.olderThan]),
  )
  print(`purged ${counted(purged, 'dead letter')}`)
}
