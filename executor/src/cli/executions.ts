// `fw executions` and `fw emit`: what is known of executions, waiting for one, ending one, and telling those that wait.
import { type Command, Option } from 'commander'
import { z } from 'zod'
import { type Execution, STATUSES } from '../execution-details.js'
import { duration, uuid, wholeNumber } from './arguments.js'
import { withClient } from './client.js'
import { addDatabaseOption, databaseUrl, type DatabaseOptions, withDatabase } from './database.js'
import { printReport, readReport } from './execution-report.js'
import { EXIT } from './exit-codes.js'
import { CommandFailure } from './failure.js'
import { refuseOtherThanJson } from './json-error.js'
import { note, print, printJson } from './output.js'
import { printResult, WAIT_MS } from './result.js'
import { oneLine, table } from './table.js'

interface ListOptions extends DatabaseOptions {
  organization?: string
  workflow?: string
  status?: Execution['status'][]
  before?: string
  limit: number
  json?: boolean
}

export function addExecutionsCommand(program: Command): void {
  const executions = program.command('executions').summary('executions: list, show, result, continue, cancel, fail').description('What is known of executions, waiting for one, and ending one.')
  addDatabaseOption(executions.command('list'))
    .description('Lists executions, the newest first.')
    .option('--organization <uuid>', 'only of this organization', uuid)
    .option('--workflow <name>', 'only of this workflow')
    .addOption(new Option('--status <status...>', 'only in one of these states').choices(STATUSES))
    .option('--before <id>', 'only those older than this one: the last of a page gives the next', uuid)
    .option('--limit <number>', 'at most this many', wholeNumber(1, 1000), 20)
    .option('--json', 'print one JSON object a line')
    .action(list)
  addDatabaseOption(executions.command('show'))
    .description('Shows all that is known of one: its state and what it waits for, its failed attempts, its steps and its children.')
    .argument('<id>', 'uuid of the execution', uuid)
    .option('--json', 'print one JSON object')
    .action(show)
  addDatabaseOption(executions.command('result'))
    .description('Waits until one has finished and prints its result as JSON.')
    .argument('<id>', 'uuid of the execution', uuid)
    .option('--timeout <duration>', 'at most this long, such as 10m', duration, WAIT_MS)
    .option('--json', 'print {"id", "status", "output"}, or "error"')
    .action(async (id: string, options: DatabaseOptions & { timeout: number; json?: boolean }) => {
      await withClient(options, (client) => printResult(client, id, options.timeout, options.json === true))
    })
  addDatabaseOption(executions.command('continue'))
    .description('Lets one that waits for its next run go on from a step: this step, and what came after it, happens again.')
    .argument('<id>', 'uuid of the execution', uuid)
    .requiredOption('--from <step>', 'name of the step, as `show` prints it')
    .option('--json', 'print {"id", "from", "forgotten"}')
    .action(async (id: string, options: DatabaseOptions & { from: string; json?: boolean }) => {
      const forgotten = await withClient(options, (client) => client.continueFrom(id, options.from))
      if (options.json === true) printJson({ id, from: options.from, forgotten })
      else print(`${id} goes on from '${oneLine(options.from)}'; ${forgotten === 1 ? '1 step happens' : `${forgotten} steps happen`} again`)
    })
  addDatabaseOption(executions.command('cancel'))
    .description('Cancels one that is queued, waiting or running; the handler that runs it is aborted.')
    .argument('<id>', 'uuid of the execution', uuid)
    .option('--reason <text>', 'kept with it')
    .option('--compensate', 'first let an executor undo what its steps have done')
    .action(async (id: string, options: DatabaseOptions & { reason?: string; compensate?: boolean }) => {
      const cancelled = await withClient(options, (client) => client.cancel(id, options.reason, { compensate: options.compensate === true }))
      if (!cancelled) throw new CommandFailure(EXIT.failed, `execution ${id} had finished before: nothing was cancelled`)
      print(`cancelled ${id}`)
    })
  addDatabaseOption(executions.command('fail'))
    .description('Makes one that is queued, waiting or running fail for good: an executor first undoes what its steps have done, then it is dead-lettered.')
    .argument('<id>', 'uuid of the execution', uuid)
    .requiredOption('--reason <text>', 'kept with it and in its dead letter')
    .option('--json', 'print {"id", "failed", "status"}')
    .action(fail)
}

export function addEmitCommand(program: Command): void {
  addDatabaseOption(program.command('emit'))
    .summary('emit an event')
    .description('Emits an event: executions that wait for it go on, and it is kept for those that wait for it later. Prints its id.')
    .argument('<key>', 'what is waited for, 1 to 200 characters')
    .argument('[payload]', 'JSON', 'null')
    .requiredOption('--organization <uuid>', 'whose executions hear it', uuid)
    .action(async (key: string, payload: string, options: DatabaseOptions & { organization: string }) => {
      refuseOtherThanJson(payload, 'the payload', 'emitted')
      print(await withClient(options, (client) => client.emit(options.organization, key, JSON.parse(payload) as unknown)))
    })
}

async function fail(id: string, options: DatabaseOptions & { reason: string; json?: boolean }): Promise<void> {
  const { failed, status } = await withClient(options, async (client) => {
    const failed = await client.fail(id, options.reason)
    return { failed, status: (await client.get(id)).status }
  })
  if (options.json === true) printJson({ id, failed, status })
  if (!failed) throw new CommandFailure(EXIT.failed, `execution ${id} had finished or begun to compensate before (it is ${status}): nothing was changed`)
  if (options.json !== true) print(status === 'failed' ? `failed ${id}` : `failing ${id}: its compensations run first`)
}

async function show(id: string, options: DatabaseOptions & { json?: boolean }): Promise<void> {
  const report = await withClient(options, (client) => readReport(client, id))
  if (options.json === true) {
    printJson(report)
    return
  }
  const { at } = await withDatabase(databaseUrl(options), (database) => database.row(z.object({ at: z.date() }), 'select now() as at'))
  printReport(report, at)
}

async function list(options: ListOptions): Promise<void> {
  const { organization, workflow, status, before, limit } = options
  const filters = {
    limit,
    ...(organization === undefined ? {} : { organizationId: organization }),
    ...(workflow === undefined ? {} : { workflow }),
    ...(status === undefined ? {} : { statuses: status }),
    ...(before === undefined ? {} : { before }),
  }
  if (options.json === true) {
    for (const each of await withClient(options, (client) => client.list(filters))) printJson(each)
    return
  }
  // A table has no room for inputs and outputs, so they are not read.
  const found = await withClient(options, (client) => client.summaries(filters))
  if (found.length === 0) {
    print('no executions')
    return
  }
  print(
    table(
      [
        { title: 'ID', value: (row) => row.id },
        { title: 'WORKFLOW', value: (row) => oneLine(row.workflow, 40) },
        { title: 'STATUS', value: (row) => row.status },
        { title: 'ATTEMPT', value: (row) => row.attempt, align: 'right' },
        { title: 'PROGRESS', value: (row) => (row.progress === null ? '-' : `${Math.round(row.progress * 100)} %`), align: 'right' },
        { title: 'CREATED', value: (row) => row.createdAt.toISOString().slice(0, 19).replace('T', ' ') },
        { title: 'ERROR', value: (row) => oneLine(row.error ?? '-', 60) },
      ],
      found,
    ),
  )
  if (found.length === limit) note(`There may be more: --before ${found.at(-1)?.id ?? ''}`)
}
