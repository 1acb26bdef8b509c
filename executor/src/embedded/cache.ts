// Brings the server's files, and pgmq's, to where its user can read them: the package's own folder when that will do, else
// a copy in a cache below the temporary folder, made once and shared. Nothing is ever written into node_modules.
import { createHash } from 'node:crypto'
import { constants, existsSync, lstatSync, mkdirSync, realpathSync } from 'node:fs'
import { chmod, cp, lstat, mkdir, mkdtemp, readFile, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { z } from 'zod'
import { readTarGz } from './archive.js'
import { DataDirUnusableError } from './errors.js'
import type { EmbeddedPackages } from './packages.js'
import { blockingFolder, permits, reachableTemp, type ServerUser } from './server-user.js'

const MARKER = '.complete'
/** Where pgmq's archive has its files. */
const EXTENSION = 'share/postgresql/extension'

/** The folder with bin, lib and share that the user can run: the package's own, or a complete copy of it. */
export async function usableNative(
  packages: Pick<EmbeddedPackages, 'native' | 'version'>,
  user: ServerUser | undefined,
  cache = cacheFolder(user),
): Promise<string> {
  const native = realpathSync(packages.native)
  const complete = (await missingLinks(native)).length === 0
  const readable = ['bin', 'lib', 'share', shareFolder(native)].every((folder) => permits(join(native, folder), user, 5))
  if (complete && readable && blockingFolder(native, user) === undefined) return native
  return shared(cache, serverName(packages), (folder) => copyServer(native, folder))
}

/**
 * A copy of that folder with pgmq among its own extensions: a server before Postgres 18 looks for them nowhere else, and
 * finds its share folder from where its program really lies, past any link.
 */
export async function nativeWithPgmq(
  packages: Pick<EmbeddedPackages, 'native' | 'version' | 'pgmqArchive'>,
  cache: string,
): Promise<string> {
  const native = realpathSync(packages.native)
  const archive = await readFile(packages.pgmqArchive)
  return shared(cache, `${serverName(packages)}-pgmq-${digest(archive)}`, async (folder) => {
    await copyServer(native, folder)
    for (const { path, content } of readTarGz(archive)) {
      if (dirname(path) === EXTENSION) await writeFile(join(folder, shareFolder(native), 'extension', basename(path)), content)
    }
  })
}

/** A folder with share/postgresql/extension/pgmq*, for Postgres' extension_control_path. */
export async function unpackedPgmq(archive: string, cache: string): Promise<string> {
  const bytes = await readFile(archive)
  return shared(cache, `pgmq-${digest(bytes)}`, async (folder) => {
    for (const { path, content } of readTarGz(bytes)) {
      const target = join(folder, path)
      await mkdir(dirname(target), { recursive: true })
      await writeFile(target, content)
    }
  })
}

/** The cache of this operating system user, which nobody else may have made or may write to. */
export function cacheFolder(user: ServerUser | undefined): string {
  const own = process.getuid?.()
  const folder = join(reachableTemp(user), own === undefined ? 'fw-embedded' : `fw-embedded-${own}`)
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  const status = lstatSync(folder)
  if (!status.isDirectory() || (own !== undefined && (status.uid !== own || (status.mode & 0o022) !== 0))) {
    throw new DataDirUnusableError(`${folder} was made by someone else, or others may write to it. Remove it and start again.`)
  }
  return folder
}

/** Blocks are shared with the original where the file system can; else it is some 60 MB. */
async function copyServer(native: string, folder: string): Promise<void> {
  await cp(native, folder, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE })
  for (const { at, to } of await missingLinks(native)) await symlink(to, join(folder, at))
}

/** Windows' binaries have the files of share/postgresql in share itself. */
function shareFolder(native: string): string {
  return existsSync(join(native, 'share/postgresql')) ? 'share/postgresql' : 'share'
}

function serverName({ version }: Pick<EmbeddedPackages, 'version'>): string {
  return `postgres-${version}-${process.platform}-${process.arch}`
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16)
}

/**
 * Makes a folder of the cache once: under a temporary name, then renamed, so that two processes at once can't disturb each
 * other. A folder that has lost files since (temporary folders are swept) is made again.
 */
async function shared(cache: string, name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cache, name)
  if (await isComplete(folder)) return folder
  const making = await mkdtemp(join(cache, `.${name}-`))
  try {
    const filled = join(making, 'new')
    await mkdir(filled)
    await fill(filled)
    await openToReaders(filled)
    await writeFile(join(filled, MARKER), String(await countFiles(filled)))
    if (!(await isComplete(folder))) {
      if (existsSync(folder)) await rename(folder, join(making, 'old'))
      await rename(filled, folder)
    }
  } catch (error) {
    // Another process may have been first.
    if (!(await isComplete(folder))) throw error
  } finally {
    await rm(making, { recursive: true, force: true })
  }
  return folder
}

async function isComplete(folder: string): Promise<boolean> {
  try {
    return (await readFile(join(folder, MARKER), 'utf8')) === String(await countFiles(folder))
  } catch {
    return false
  }
}

async function countFiles(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true })
  return entries.filter((entry) => entry !== MARKER).length
}

async function openToReaders(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await openToReaders(path)
    else if (entry.isFile()) await chmod(path, ((await lstat(path)).mode & 0o100) === 0 ? 0o644 : 0o755)
  }
}

const LinkList = z.array(z.object({ source: z.string(), target: z.string() }))

/** The links between libraries that npm's packages can't hold; the package's install script makes them if npm lets it. */
async function missingLinks(native: string): Promise<{ at: string; to: string }[]> {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return []
  return LinkList.parse(JSON.parse(await readFile(list, 'utf8')))
    .map(({ source, target }) => ({ at: relative('native', target), to: relative(dirname(target), source) }))
    .filter(({ at }) => !existsSync(join(native, at)))
}
