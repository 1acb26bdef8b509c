// Runs the two programs of Postgres, initdb and postgres, as the server's user and apart from the terminal's signals.
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { EmbeddedStartError } from './errors.js'
import { reachableTemp, type ServerUser } from './server-user.js'

const KEPT_LINES = 40

export interface Program {
  child: ChildProcess
  pid: number
  /** Settled once the program has ended and its output is read to the end. */
  ended: Promise<void>
  hasEnded: () => boolean
  /** How it ended, and its last lines. */
  epitaph: () => string
}

/** Makes a new database cluster in an empty folder: UTF-8, locale C, passwords over SCRAM only. */
export async function initialise(
  native: string,
  dataDir: string,
  user: ServerUser | undefined,
  superuser: { user: string; password: string },
  durable: boolean,
): Promise<void> {
  const secrets = await mkdtemp(join(reachableTemp(user), 'fw-initdb-'))
  try {
    const passwordFile = join(secrets, 'password')
    await writeFile(passwordFile, superuser.password, { mode: 0o600 })
    if (user !== undefined) {
      await chown(secrets, user.uid, user.gid)
      await chown(passwordFile, user.uid, user.gid)
    }
    const initdb = await launch(native, 'initdb', user, [
      `--pgdata=${dataDir}`,
      `--username=${superuser.user}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      ...(durable ? [] : ['--no-sync']),
    ])
    await initdb.ended
    if (initdb.child.exitCode !== 0) throw new EmbeddedStartError(`The database could not be made. ${initdb.epitaph()}`)
  } finally {
    await rm(secrets, { recursive: true, force: true })
  }
}

/** Starts bin/<program>. Its lines go to the log as they come, and the last ones are kept for an error. */
export async function launch(
  native: string,
  program: 'initdb' | 'postgres',
  user: ServerUser | undefined,
  args: readonly string[],
  log?: (line: string) => void,
): Promise<Program> {
  const windows = process.platform === 'win32'
  const options: SpawnOptions = {
    cwd: native,
    env: windows ? process.env : { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A Ctrl-C in the terminal is for the program that started us: it decides when the database may go.
    detached: !windows,
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
  }
  const child = spawn(join(native, 'bin', windows ? `${program}.exe` : program), args, options)
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      if (lines.length > KEPT_LINES) lines.shift()
      log?.(line)
    })
  }
  const ended = new Promise<void>((resolve) => child.once('close', () => { resolve() }))
  try {
    await once(child, 'spawn')
  } catch (cause) {
    throw new EmbeddedStartError(`${program} could not be run.`, { cause })
  }
  if (child.pid === undefined) throw new EmbeddedStartError(`${program} could not be run.`)
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null
  const epitaph = () => {
    const how = child.signalCode === null ? `exit code ${child.exitCode ?? 'unknown'}` : `signal ${child.signalCode}`
    return [`${program} ended with ${how}. Its last lines:`, ...lines].join('\n')
  }
  return { child, pid: child.pid, ended, hasEnded, epitaph }
}

/**
 * Ends the server should this process die without stopping it, even by SIGKILL: a shell waits for the end of a pipe that
 * closes with us. It also removes what is to be removed then. Returns how to call it off.
 */
export function guard(pid: number, remove: string | undefined): () => void {
  if (process.platform === 'win32') return () => undefined
  const script = `
    cat > /dev/null
    kill -INT "$1" 2> /dev/null
    if [ -n "$2" ]; then
      i=0
      while kill -0 "$1" 2> /dev/null && [ $i -lt 100 ]; do i=$((i + 1)); sleep 0.1; done
      rm -rf "$2"
    fi`
  const child = spawn('/bin/sh', ['-c', script, 'sh', String(pid), remove ?? ''], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  })
  // Without a shell there is no guard, and nothing else is lost.
  child.on('error', () => undefined)
  child.stdin.on('error', () => undefined)
  child.unref()
  if (child.stdin instanceof Socket) child.stdin.unref()
  return () => {
    child.kill('SIGKILL')
    child.stdin.destroy()
  }
}
