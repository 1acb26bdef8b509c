// The operating system user that Postgres runs as, and which folders that user can reach.
// Postgres refuses to run as root; root therefore hands it to a user that the machine already has.
import { accessSync, constants, readFileSync, realpathSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname } from 'node:path'
import { DataDirUnusableError, EmbeddedUnsupportedError } from './errors.js'

export interface ServerUser {
  name: string
  uid: number
  gid: number
}

/** The user to run the server as when this process is root: postgres, else nobody. Undefined: run it as ourselves. */
export function serverUser(passwdFile = '/etc/passwd'): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined
  const users = readFileSync(passwdFile, 'utf8').split('\n').map((line) => line.split(':'))
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = users.find(([found]) => found === name) ?? []
    if (uid !== undefined && gid !== undefined && Number(uid) > 0) return { name, uid: Number(uid), gid: Number(gid) }
  }
  throw new EmbeddedUnsupportedError(
    'Postgres does not run as root, and this machine has neither a user postgres nor nobody. Start this as another user.',
  )
}

/** Whether the user may do all of the given (4 read, 2 write, 1 traverse) with the file or folder itself. */
export function permits(path: string, user: ServerUser | undefined, wanted: number): boolean {
  if (user === undefined) {
    try {
      accessSync(path, wanted === 1 ? constants.X_OK : wanted & 2 ? constants.W_OK : constants.R_OK)
      return true
    } catch {
      return false
    }
  }
  const { mode, uid, gid } = statSync(path)
  const granted = uid === user.uid ? mode >> 6 : gid === user.gid ? mode >> 3 : mode
  return (granted & wanted) === wanted
}

/** The outermost folder on the way to an existing path that the user can't traverse; undefined when it is reachable. */
export function blockingFolder(path: string, user: ServerUser | undefined): string | undefined {
  const ancestors: string[] = []
  for (let at = realpathSync(path); at !== dirname(at); at = dirname(at)) ancestors.unshift(dirname(at))
  return ancestors.find((folder) => !permits(folder, user, 1))
}

/** A folder for temporary files that the server's user reaches: the system's own, else /tmp or /var/tmp. */
export function reachableTemp(user: ServerUser | undefined): string {
  const candidates = process.platform === 'win32' ? [tmpdir()] : [tmpdir(), '/tmp', '/var/tmp']
  for (const candidate of candidates) {
    try {
      const folder = realpathSync(candidate)
      if (blockingFolder(folder, user) === undefined && permits(folder, user, 1)) return folder
    } catch {
      // not there: try the next
    }
  }
  throw new DataDirUnusableError(
    `No folder for temporary files is reachable for the user ${user?.name ?? 'that runs this'}: tried ${candidates.join(', ')}.`,
  )
}
