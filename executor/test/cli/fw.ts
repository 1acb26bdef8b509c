// Runs the built command line `fw` as a user does: a process with arguments, an environment, signals and an exit code.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach } from 'vitest'

export interface FwOptions {
  /** DATABASE_URL; without it there is none. */
  url?: string
  env?: Readonly<Record<string, string>>
  cwd?: string
  /** The program's file. Default: the built one of this package. */
  program?: string
}

export interface Finished {
  code: number | null
  stdout: string
  stderr: string
}

export interface Started {
  readonly pid: number
  /** Resolves once the program has written this, with everything written so far; fails when it ends before. */
  untilWritten: (where: 'stdout' | 'stderr', text: string | RegExp) => Promise<string>
  kill: (signal: NodeJS.Signals) => void
  finished: Promise<Finished>
}

const PACKAGE = fileURLToPath(new URL('../../../', import.meta.url))
const MAIN = `${PACKAGE}executor/dist/cli/main.js`

/** A module under fixtures/, as a path that works from the package's folder, where the program runs. */
export const fixture = (name: string): string => `executor/test/cli/fixtures/${name}`

/** Runs it to its end. */
export function fw(args: readonly string[], options: FwOptions = {}): Promise<Finished> {
  return startFw(args, options).finished
}

/** Starts it; the test need not end it. */
export function startFw(args: readonly string[], options: FwOptions = {}): Started {
  const program = options.program ?? MAIN
  if (!existsSync(program)) throw new Error(`${program} is not there: npm run build`)
  const child = spawn(process.execPath, [program, ...args], {
    cwd: options.cwd ?? PACKAGE,
    env: { ...environment(), ...(options.url === undefined ? {} : { DATABASE_URL: options.url }), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  const written = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (written.stdout += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (written.stderr += chunk))
  const finished = once(child, 'close').then(() => {
    running.delete(child)
    return { code: child.exitCode, ...written }
  })
  if (child.pid === undefined) throw new Error('the program could not be started')
  return {
    pid: child.pid,
    finished,
    kill: (signal) => child.kill(signal),
    untilWritten: async (where, text) => {
      const found = () => (typeof text === 'string' ? written[where].includes(text) : text.test(written[where]))
      while (!found()) {
        if (!running.has(child)) throw new Error(`fw ended with ${child.exitCode ?? 'a signal'} without writing ${text}:\n${written.stderr}`)
        await sleep(20)
      }
      return written[where]
    },
  }
}

const running = new Set<ChildProcess>()

afterEach(async () => {
  for (const child of running) {
    child.kill('SIGKILL')
    await once(child, 'close')
  }
  running.clear()
})

/** This process' own environment without what would change the program's behaviour. */
function environment(): NodeJS.ProcessEnv {
  const left = Object.entries(process.env).filter(([name]) => !/^(DATABASE_URL|FW_.*|PG.*|npm_command|NODE_OPTIONS)$/.test(name))
  return Object.fromEntries(left)
}
