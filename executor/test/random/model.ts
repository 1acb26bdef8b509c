// The model: runs a program in memory, without executor or database. Its results come one at a time, in an order that it is told,
// each followed until nothing moves any more. What chance decides (a recorded time or uuid, whether a step that fails by chance does,
// which event comes) it is told too; everything else it works out from the program.
import { type Workflow } from '../../src/index.js'
import { type Effect, type Input, type Operations, play, type World } from './play.js'
import { kept, makeValue } from './values.js'

/** What the model is told of an operation that has come to its end. */
export interface Told {
  readonly at: string
  readonly isError: boolean
  /** What the handler saw. */
  readonly text: string
}

/** How an execution ended. */
export type Outcome = { value: unknown } | { error: string }

export interface ModelOptions {
  executionId: string
  input: Input
  /** The operation whose result comes next, of those that are asked for; undefined when there is none. */
  next: (pending: readonly string[]) => Told | undefined
  /** What was seen of an operation that chance decides. */
  told: (at: string) => Told | undefined
  /** Whether what the handler leaves running when it returns goes on. */
  goesOn: boolean
  /** How the child of this input ended. */
  child: (input: Input) => Promise<Outcome>
}

export interface Modelled {
  /** What the handler asked and saw, in its order. */
  readonly log: string[]
  readonly outcome: Outcome
}

/** The model cannot go on as it is told to: what happened cannot have happened. */
export class Impossible extends Error {}

/** Runs the input's program as the options say. @throws Impossible */
export async function runModel(options: ModelOptions): Promise<Modelled> {
  const model = new Model(options)
  let outcome: Outcome | undefined
  void play(model.operations(), model, options.input).then(
    (value) => { outcome = { value: kept(value) } },
    (error: unknown) => {
      outcome = { error: error instanceof Error ? error.message : String(error) }
      model.isEnded = true
    },
  )
  await rest()
  while (!model.isEnded && (options.goesOn || outcome === undefined) && (await model.giveNext())) await rest()
  if (outcome === undefined) throw new Impossible('the handler is not at its end, though it has seen all that was seen')
  return { log: model.log, outcome }
}

/** Until no promise moves any more. */
const rest = () => new Promise((resolve) => setImmediate(resolve))

class Model implements World {
  readonly executionId: string
  readonly log: string[] = []
  readonly #options: ModelOptions
  readonly #pending = new Map<string, (told: Told) => Promise<void>>()
  #asking = ''
  #giving: Told | undefined
  /** The handler threw: nothing goes on. */
  isEnded = false

  constructor(options: ModelOptions) {
    this.executionId = options.executionId
    this.#options = options
  }

  /** Returns false when there is nothing to be given. */
  async giveNext(): Promise<boolean> {
    const told = this.#options.next([...this.#pending.keys()])
    if (told === undefined) return false
    const give = this.#pending.get(told.at)
    if (give === undefined) throw new Impossible(`a result of ${told.at} was seen, which was not asked for, or not yet: ${told.text}`)
    this.#pending.delete(told.at)
    await give(told)
    return true
  }

  note(kind: 'ask' | 'see' | 'fail' | 'stop', at: string, text: string): void {
    if (kind === 'ask') this.#asking = at
    if (!this.isEnded) this.log.push(`${kind} ${at} ${text}`)
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as in an executor
  async effect({ at, argument, shape, fails, item }: Effect): Promise<unknown> {
    if (fails === 'always' || (fails !== undefined && this.#giving?.isError === true)) throw failure(fails, at)
    return makeValue(argument, shape, item)
  }

  book(): Promise<void> {
    return Promise.resolve()
  }

  workflow(name: string): Workflow<Input> {
    return { name } as Workflow<Input>
  }

  /** The context that the program runs on. */
  operations(): Operations {
    const record = (): unknown => {
      const told = this.#options.told(this.#asking)
      if (told === undefined) throw new Impossible(`nothing was seen of ${this.#asking}, which is recorded at once`)
      return JSON.parse(told.text)
    }
    return {
      step: (_, fn, options) => this.#ask(async () => {
        for (let left = options?.retry?.maxAttempts ?? 1; ; left--) {
          try {
            return kept(await fn({ signal: new AbortController().signal })) as Awaited<ReturnType<typeof fn>>
          } catch (error) {
            if (left <= 1) throw error
          }
        }
      }),
      transaction: (_, fn) => this.#ask(async () => kept(await fn({ query: () => undefined } as unknown as Parameters<typeof fn>[0])) as never),
      sleep: () => this.#ask(() => Promise.resolve()),
      sleepUntil: () => this.#ask(() => Promise.resolve()),
      waitForEvent: (key) => this.#ask((told) => {
        if (!told.isError) return Promise.resolve(told.text === '' ? { key } : (JSON.parse(told.text) as unknown))
        return Promise.reject(Object.assign(new Error(`no event '${key}' came in time`), { name: 'EventTimeoutError', code: 'PERMANENT' }))
      }),
      invoke: (_, input) => this.#ask(() => this.#child(input)),
      map: (items, work) => this.#ask(async () => {
        const results: unknown[] = []
        // The errors of children are alike, so it does not matter which of them comes first.
        for (const [index, item] of items.entries()) {
          results.push(typeof work === 'function' ? kept(await work(item, index, { signal: new AbortController().signal })) : await this.#child(item as Input))
        }
        return results as never[]
      }),
      now: () => new Date(record() as number),
      random: () => record() as number,
      uuid: () => record() as string,
    }
  }

  async #child(input: Input): Promise<unknown> {
    const outcome = await this.#options.child(input)
    if ('value' in outcome) return outcome.value
    throw Object.assign(new Error(outcome.error), { name: 'ChildFailedError' })
  }

  #ask<Value>(result: (told: Told) => Promise<Value>): Promise<Value> {
    const at = this.#asking
    return new Promise<Value>((resolve, reject) => {
      this.#pending.set(at, async (told) => {
        this.#giving = told
        try {
          const value = await result(told)
          resolve(value)
        } catch (error) {
          if (error instanceof Impossible) throw error
          reject(error instanceof Error ? error : new TypeError('the model throws errors'))
        } finally {
          this.#giving = undefined
        }
      })
    })
  }
}

/** What a step throws. Its text names the operation. */
export function failure(fails: 'always' | 'attempt' | 'chance', at: string): Error {
  const name = fails === 'attempt' ? 'Flake' : 'Trouble'
  return Object.assign(new Error(`${name} of ${at}`), { name, code: `${name.toUpperCase()}_CODE` })
}
