// A file that says that this process is alive: renewed as long as the database hears from the executor. A probe only looks at the time of the
// file, which costs next to nothing, where `fw health` starts a Node and connects.
import { rm, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

export interface HealthFileOptions {
  path: string
  /** Whether the database has heard from the executor lately. What it throws counts as no. */
  isAlive: () => Promise<boolean>
  /** Milliseconds between two looks. */
  every: number
}

export interface HealthFile {
  /** Removes the file. */
  stop: () => Promise<void>
}

/** Writes the file now and then, until it is stopped. It is left as it is while the executor is not alive. */
export function keepHealthFile({ path, isAlive, every }: HealthFileOptions): HealthFile {
  const ended = new AbortController()
  const keeping = (async () => {
    while (!ended.signal.aborted) {
      if (await isAlive().catch(() => false)) await writeFile(path, `${new Date().toISOString()}\n`)
      await sleep(every, undefined, { signal: ended.signal, ref: false }).catch(() => undefined)
    }
  })()
  // A file that cannot be written is found by the probe.
  keeping.catch(() => undefined)
  return {
    stop: async () => {
      ended.abort()
      await keeping.catch(() => undefined)
      await rm(path, { force: true })
    },
  }
}
