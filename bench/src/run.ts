// Runs tasks: each on a fresh database (or a copy of a kept one) and in a process of its own, while this process waits.
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { z } from 'zod'
import { type Description, descriptionSchema, measurementSchema, type Spec } from './cases/spec.ts'
import { median } from './cases/measuring.ts'
import type { Group, Task } from './plan.ts'
import type { Server } from './server.ts'
import { systemNames } from './systems/system.ts'
import type { Result } from './report/result.ts'

const PLAYER = fileURLToPath(new URL('./player.ts', import.meta.url))
const KEPT_LINES = 12
const DESCRIBE_SECONDS = 60

export class Runner {
  readonly #server: Server
  readonly #say: (line: string) => void
  #child: ChildProcess | undefined
  #databases = 0
  readonly #kept = new Map<string, string>()
  readonly #said = new Set<string>()
  #isAborted = false

  constructor(server: Server, say: (line: string) => void) {
    this.#server = server
    this.#say = say
  }

  /** Ends what runs now. */
  abort(): void {
    this.#isAborted = true
    this.#child?.kill('SIGKILL')
  }

  /** What each system says of itself. */
  async describe(): Promise<(Description | { name: (typeof systemNames)[number]; missing: string })[]> {
    const descriptions = []
    for (const name of systemNames) {
      try {
        const [description] = await this.#play({ kind: 'describe', system: name, title: 'describe' }, [], DESCRIBE_SECONDS, descriptionSchema)
        if (description === undefined) throw new Error('it says nothing of itself')
        descriptions.push(description)
      } catch (error) {
        descriptions.push({ name, missing: `it can't be loaded: ${messageOf(error)}` })
      }
    }
    return descriptions
  }

  /** Runs a group, its tasks in turn, every other time from the last to the first; returns the median of each measurement, and each task that failed. */
  async run(group: Group): Promise<Result[]> {
    const values = new Map<string, { system: Spec['system']; case: string; unit: string; values: number[] }>()
    const failed = new Map<Task, Result>()
    for (let repetition = 1; repetition <= group.repetitions; repetition++) {
      for (const task of repetition % 2 === 1 ? group.tasks : group.tasks.toReversed()) {
        if (failed.has(task) || this.#isAborted) continue
        const { system, title } = task.spec
        try {
          const measured = await this.#measure(task)
          for (const each of measured) {
            const key = `${system}\n${each.case}`
            const entry = values.get(key) ?? { system, case: each.case, unit: each.unit, values: [] }
            entry.values.push(each.value)
            values.set(key, entry)
          }
          const shown = measured.slice(0, 3).map(({ value, unit }) => `${Number(value.toPrecision(4))} ${unit}`)
          this.#say(`${system}: ${title} (${repetition}/${group.repetitions}): ${shown.join(', ') || 'done'}`)
        } catch (error) {
          const reason = messageOf(error)
          this.#say(`${system}: ${title} FAILED: ${reason}`)
          failed.set(task, { system, case: title, value: null, unit: '', values: [], error: reason })
        }
      }
    }
    return [...[...values.values()].map((each) => ({ ...each, value: median(each.values) })), ...failed.values()]
  }

  /** Hands on what a system has said, once for each text. */
  #pass({ system, title }: Spec, lines: readonly string[]): void {
    for (const line of lines) {
      const said = `${system}: ${line.replace(/^\(node:\d+\) /, '')}`
      if (!this.#said.has(said)) this.#say(`${said} (${title})`)
      this.#said.add(said)
    }
  }

  async #measure({ spec, from = [undefined], keep, limitSeconds }: Task): Promise<z.infer<typeof measurementSchema>[]> {
    const created: string[] = []
    try {
      const urls: string[] = []
      for (const source of from) {
        const kept = source === undefined ? undefined : this.#kept.get(source)
        if (source !== undefined && kept === undefined) throw new Error(`the database '${source}' that it starts from could not be made`)
        const name = `bench_${++this.#databases}`
        created.push(name)
        urls.push(await this.#server.createDatabase(name, kept))
      }
      const measured = await this.#play(spec, urls, limitSeconds, measurementSchema)
      const [only] = created
      if (keep !== undefined && only !== undefined) {
        this.#kept.set(keep, only)
        created.pop()
      }
      return measured
    } finally {
      for (const name of created) await this.#server.dropDatabase(name)
    }
  }

  async #play<Schema extends z.ZodType>(spec: Spec, urls: readonly string[], limitSeconds: number, schema: Schema): Promise<z.infer<Schema>[]> {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', PLAYER, JSON.stringify(spec), ...urls], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    let output = ''
    let errors: string[] = []
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      errors = [...errors, ...chunk.split('\n').filter((line) => line.trim() !== '')].slice(-KEPT_LINES)
    })
    const late = AbortSignal.timeout(limitSeconds * 1000)
    late.addEventListener('abort', () => child.kill('SIGKILL'))
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    }).finally(() => {
      this.#child = undefined
    })
    if (late.aborted && code !== 0) throw new Error([`it was not done after ${limitSeconds} s`, ...errors].join(' | '))
    if (code !== 0) throw new Error(`${errors.join(' | ') || 'no message'} (exit code ${code ?? 'none'})`)
    this.#pass(spec, errors)
    return output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => schema.parse(JSON.parse(line)))
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
