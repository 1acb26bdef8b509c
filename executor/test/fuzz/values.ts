// Arguments by type: what a program would pass, what it might pass by mistake, and what nobody should.
import type { Argument } from './catalogue.js'

export interface Running {
  executorId: string
  executionId: string
  batchId: string
}

/** Ids and names of things that there are. */
export interface Known {
  organizations: string[]
  executors: string[]
  executions: string[]
  batches: string[]
  workflows: string[]
  deadLetters: string[]
  steps: string[]
  keys: string[]
  /** Of the organizations that are aimed at. */
  running: Running[]
  /** Of bystanders: these are other people's, and only their executions and batches are passed, to functions that know who calls. */
  foreign: Running[]
}

/** How a value is to be: as it comes, or of one kind that every function must meet. */
export type Manner = 'any' | 'null' | 'large' | 'u0000' | 'infinite'

const MEGABYTE = 1024 * 1024
const NIL = '00000000-0000-0000-0000-000000000000'
const MAX = 'ffffffff-ffff-ffff-ffff-ffffffffffff'
const STATUSES = ['queued', 'running', 'waiting', 'retry_pending', 'completed', 'failed', 'timed_out', 'cancelled', 'skipped', 'done', '']
const U0000 = '\\u0000'

export type Value = string | null | Value[]

export class Values {
  readonly #random: () => number
  readonly #known: Known
  /** The executions of one call belong together, so that not every call is refused. */
  readonly #aimed: Running[]
  readonly #length: number

  constructor(random: () => number, known: Known, isOwned: boolean) {
    this.#random = random
    this.#known = known
    this.#length = this.#pick([0, 1, 1, 1, 2, 3])
    const own = this.#pick(known.running)?.executorId
    const together = known.running.filter(({ executorId }) => executorId === own)
    const some = Array.from({ length: Math.max(1, this.#length) }, () => this.#pick(together))
    // Now and then it is somebody else's that the executor asks for.
    this.#aimed = some.filter((each) => each !== undefined)
      .map((each) => (isOwned && this.#chance(0.15) ? { ...each, ...this.#pick(known.foreign), executorId: each.executorId } : each))
  }

  /** A value as text, as the cast to the type reads it. */
  of({ name, type }: Argument, manner: Manner): Value {
    if (manner === 'null') return null
    if (!type.endsWith('[]')) {
      if (manner === 'any' && this.#chance(0.07)) return null
      return this.#one(name, type, manner, 0)
    }
    if (manner === 'any' && this.#chance(0.04)) return null
    // Mostly as long as the others of this call; NULL in some places.
    const length = this.#chance(0.85) ? this.#length : this.#pick([0, 1, 2, 5])
    return Array.from({ length: manner === 'any' ? length : Math.max(1, length) }, (_, place) =>
      manner === 'any' && this.#chance(0.05) ? null : this.#one(name, type.slice(0, -2), place === 0 ? manner : 'any', place),
    )
  }

  #chance(share: number): boolean {
    return this.#random() < share
  }

  #pick<T>(of: readonly [T, ...T[]]): T
  #pick<T>(of: readonly T[]): T | undefined
  #pick<T>(of: readonly T[]): T | undefined {
    return of[Math.floor(this.#random() * of.length)]
  }

  #one(name: string, type: string, manner: Manner, place: number): Value {
    switch (type) {
      case 'uuid': return this.#uuid(name, place)
      case 'text': return this.#text(name, manner)
      case 'jsonb': return this.#json(name, manner)
      case 'boolean': return this.#pick(['true', 'false'])
      case 'integer': return this.#integer(name, place, manner)
      case 'bigint': return name === 'p_msg_id' && this.#chance(0.7) ? (this.#pick(this.#known.deadLetters) ?? '1')
        : manner === 'infinite' ? this.#pick(['9223372036854775807', '-9223372036854775808']) : this.#pick(['-1', '0', '1', '1000', '60000', '9007199254740993', '9223372036854775807', '-9223372036854775808'])
      case 'real':
      case 'double precision': return manner === 'infinite' ? this.#pick(['Infinity', '-Infinity', 'NaN']) : this.#pick(['0', '0.5', '1', '-1', '1e30', 'NaN', 'Infinity'])
      case 'interval': return manner === 'infinite' ? this.#pick(['178000000 years', '-178000000 years']) : this.#pick(['0', '1 second', '-1 day', '30 days', '1 hour', '400 years', '178000000 years'])
      case 'timestamp with time zone': return manner === 'infinite' ? this.#pick(['infinity', '-infinity']) : this.#pick(['now', '2000-01-01Z', '2100-01-01Z', '294000-01-01Z', '4000-01-01 BC', 'infinity', '-infinity'])
      case 'fw_workflow_executions': return this.#aimed[0]?.executionId ?? NIL
      default: throw new Error(`the fuzzer has no values of type ${type}, of argument ${name}: add some`)
    }
  }

  #uuid(name: string, place: number): string {
    const { organizations, executors, executions, batches } = this.#known
    const aimed = this.#aimed[Math.min(place, this.#aimed.length - 1)]
    if (aimed !== undefined && this.#chance(0.75)) {
      if (name.startsWith('p_executor')) return aimed.executorId
      if (name.startsWith('p_execution')) return aimed.executionId
      if (name.startsWith('p_batch')) return aimed.batchId
    }
    const likely = name.startsWith('p_organization') ? organizations : name.startsWith('p_executor') ? executors : name.startsWith('p_batch') ? batches : executions
    if (likely.length > 0 && this.#chance(0.85)) return this.#pick(likely) ?? NIL
    return this.#pick([NIL, MAX, '11111111-2222-4333-8444-555555555555', this.#pick(organizations) ?? NIL, this.#pick(executions) ?? NIL])
  }

  #text(name: string, manner: Manner): string {
    if (manner === 'large') return 'x'.repeat(MEGABYTE)
    if (manner === 'u0000') return '\u0000'
    if (name.includes('status')) return this.#pick(STATUSES) ?? ''
    const { workflows, steps, keys } = this.#known
    const likely = name.includes('workflow') ? workflows : name.includes('key') ? keys : /name|step|after|group|recorded/.test(name) ? steps : ['why', 'it broke']
    if (this.#chance(0.7)) return this.#pick(likely) ?? ''
    return this.#pick(['', ' ', 'x', "'; select 1 --", '%s %I', '{"a": 1}', '\u001b[31m', '\u202e', '😀'.repeat(100), 'y'.repeat(201), 'z'.repeat(5000), NIL])
  }

  #json(name: string, manner: Manner): string {
    if (manner === 'large') return JSON.stringify('x'.repeat(MEGABYTE))
    if (manner === 'u0000') return `"${U0000}"`
    if (name === 'p_workflows') return this.#definitions()
    return this.#pick(['null', '{}', '[]', '1', '"text"', 'true', '{"a": [1, 2, {"b": null}]}', '1e1000', `${'['.repeat(500)}${']'.repeat(500)}`, '{"message": "it broke"}', '{"message": "it broke", "again": true}', '{"message": 1}'])
  }

  #definitions(): string {
    const item = () => {
      const made: Record<string, unknown> = { name: this.#pick(this.#known.workflows) }
      for (const key of ['max_attempts', 'backoff_initial_ms', 'backoff_factor', 'backoff_max_ms', 'timeout_minutes', 'warn_percent', 'on_timeout', 'compensate_on_timeout', 'name']) {
        if (this.#chance(0.1)) made[key] = this.#pick<unknown>([0, 1, -1, 3, 60, 1.5, 1e300, null, 'fail', 'text', true, 'true', [], {}])
      }
      return this.#chance(0.05) ? this.#pick<unknown>([1, null, 'text', []]) : made
    }
    return this.#chance(0.1) ? this.#pick(['null', '{}', '[]', '1', '"x"']) : JSON.stringify(Array.from({ length: this.#pick([1, 1, 2]) }, item))
  }

  #integer(name: string, place: number, manner: Manner): string {
    // Of a process that there is, one could be ended.
    if (name === 'p_backend_pid') return this.#pick(['-1', '0', '2147483647'])
    if (manner === 'infinite') return this.#pick(['2147483647', '-2147483648'])
    if (name.endsWith('_items') && this.#chance(0.8)) return String(Math.min(place + 1, Math.max(1, this.#length)))
    if (/index|order|duration/.test(name) && this.#chance(0.8)) return String(place)
    return this.#pick(['-1', '0', '1', '2', '5', '50', '100', '1000', '2147483647', '-2147483648'])
  }
}
