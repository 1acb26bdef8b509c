// `fw run`: runs the workflows that a module exports, until it is told to stop.
import { hostname } from 'node:os'
import { type Command, Option } from 'commander'
import { Executor } from '../executor.js'
import type { Logger } from '../logger.js'
import type { Workflow } from '../workflow.js'
import { duration, wholeNumber } from './arguments.js'
import { addDatabaseOption, databaseName, databaseUrl, type DatabaseOptions, withDatabase } from './database.js'
import { exampleInput } from './example-input.js'
import { EXIT } from './exit-codes.js'
import { isAlive } from './health.js'
import { type HealthFile, keepHealthFile } from './health-file.js'
import { commandLogger } from './log.js'
import { migrateDatabase, type MigrateOptions, withCurrentOption } from './migrate.js'
import { EXAMPLE_ORGANIZATION, FW, note, shellWord } from './output.js'
import { awaitStopSignal, type StopSignal } from './stop-signal.js'
import { counted, span } from './table.js'
import { importWorkflows } from './workflow-module.js'

interface RunOptions extends DatabaseOptions, MigrateOptions {
  migrate?: boolean
  concurrency: number
  /** Milliseconds. */
  poll?: number
  /** Milliseconds. */
  stopTimeout: number
  healthFile?: string
}

/** Less than the 30 s that Kubernetes waits between SIGTERM and SIGKILL, so that what is left is handed back before. */
const STOP_MS = 25_000
/** A third of what a probe may allow. */
const HEALTH_FILE_MS = 10_000

export function addRunCommand(program: Command): void {
  addDatabaseOption(program.command('run'))
    .summary('run the workflows of a module')
    .description('Imports the module, runs every workflow that it exports (also within an array or object), and stops in order on Ctrl-C or SIGTERM.')
    .argument('<module>', 'path of a .ts or .js file')
    .option('--migrate', 'first bring the database to this version')
    .option('--concurrency <number>', 'most executions in flight', wholeNumber(1, 100_000), 100)
    .option('--poll <duration>', 'how often to look for work without being woken (default: 1s)', duration)
    .option('--stop-timeout <duration>', 'how long running executions may take to finish at the end (default: 25s)', duration, STOP_MS)
    .addOption(new Option('--health-file <path>', 'renew this file every 10 seconds while the database hears from this process, for probes').env('FW_HEALTH_FILE'))
    .addOption(withCurrentOption())
    .action(run)
}

async function run(module: string, options: RunOptions): Promise<void> {
  const url = databaseUrl(options)
  const workflows = await importWorkflows(module)
  if (options.migrate === true) await migrateDatabase(url, options)
  await withDatabase(url, () => Promise.resolve())
  const logger = commandLogger()
  const name = `${hostname()}:${process.pid}`
  const executor = new Executor({
    connectionString: url,
    workflows,
    name,
    concurrency: options.concurrency,
    logger,
    ...(options.poll === undefined ? {} : { pollInterval: options.poll }),
  })
  const stop = awaitStopSignal()
  let health: HealthFile | undefined
  try {
    await executor.start()
    if (options.healthFile !== undefined) health = keepHealthFile({ path: options.healthFile, isAlive: () => isAlive(url, name), every: HEALTH_FILE_MS })
    tellReady(logger, workflows, url)
    const signal = await stop.received
    await stopInOrder({ executor, logger, stop, signal, timeout: options.stopTimeout })
  } finally {
    await health?.stop()
    stop.dispose()
  }
}

interface Stopping {
  executor: Executor
  logger: Logger
  stop: StopSignal
  signal: NodeJS.Signals
  /** Milliseconds. */
  timeout: number
}

async function stopInOrder({ executor, logger, stop, signal, timeout }: Stopping): Promise<void> {
  stop.onSecond = () => {
    const { inFlight } = executor.stats
    logger.warn({ inFlight }, `exiting at once: ${counted(inFlight, 'execution')} in flight; their leases run out, then they are retried, which counts as an attempt`)
    process.exit(EXIT.failed)
  }
  const { inFlight } = executor.stats
  const text =
    inFlight === 0
      ? 'stopping'
      : `stopping: ${counted(inFlight, 'execution')} in flight may finish within ${span(timeout / 1000)}, then go back to the queue; a second signal exits at once`
  logger.info({ signal, inFlight }, text)
  await executor.stop({ timeout })
}

function tellReady(logger: Logger, workflows: readonly Workflow[], url: string): void {
  const names = workflows.map(({ name }) => name)
  const database = databaseName(url)
  const enqueue = workflows.slice(0, 1).map(({ name, schema }) => {
    const input = exampleInput(schema)
    return `${FW} enqueue ${shellWord(name)} ${input === undefined ? "'<input as JSON>'" : shellWord(input)} --organization ${EXAMPLE_ORGANIZATION} --wait`
  })
  const enable = `${FW} enable ${EXAMPLE_ORGANIZATION}`
  if (process.stderr.isTTY) {
    note(`ready: runs ${names.join(', ')} from ${database}`)
    note(['Next, in another terminal (any uuid can be an organization):', enable, ...enqueue].join('\n  '))
  } else {
    logger.info({ workflows: names, database, enable, enqueue: enqueue[0] }, 'ready')
  }
}
