// Runs a random program as a workflow's handler. It awaits nothing but operations of the context, notes each operation when it is
// asked and when its result is seen, and folds every result into what the branch passes on.
import { type Context, PermanentError, type Workflow } from '../../src/index.js'
import type { Name, Program } from './program.js'
import { type Argument, hash, makeValue, type Shape, show } from './values.js'

/** What is enqueued, and what children are invoked with. */
export interface Input {
  /** Who asked for it: the execution, the branch and its operation. Of no two executions alike. */
  readonly tag: string
  /** What the branch that asked had seen. */
  readonly carry: string
  readonly returns: 'carry' | 'nothing'
  readonly program: Program
}

/** A side effect: what it is told, and what comes of it. */
export interface Effect {
  /** The operation that it belongs to. */
  readonly at: string
  readonly argument: Argument
  readonly shape: Shape
  readonly ms: number
  readonly fails: 'always' | 'attempt' | 'chance' | undefined
  readonly tries: number
  /** Which item of a map. */
  readonly item: number | undefined
}

interface Named {
  name?: string
}

/** The context, of which every operation can be given a name. */
export interface Operations extends Pick<Context, 'step' | 'transaction' | 'map'> {
  sleep(milliseconds: number, options?: Named): Promise<void>
  sleepUntil(time: Date, options?: Named): Promise<void>
  waitForEvent(key: string, options?: Named & { timeout?: number }): Promise<unknown>
  invoke(workflow: Workflow<Input>, input: Input, options?: Named): Promise<unknown>
  now(options?: Named): Date
  random(options?: Named): number
  uuid(options?: Named): string
}

/** Where a program runs: in an executor, or in the model. */
export interface World {
  readonly executionId: string
  /** ask: an operation is asked for; see: the handler gets its result; fail: it gets its error; stop: the run is over. */
  note(kind: 'ask' | 'see' | 'fail' | 'stop', at: string, text: string): void
  /** Does what a step does. */
  effect(effect: Effect): Promise<unknown>
  /** Writes a row in the transaction of a step. */
  book(sql: unknown, at: string, argument: Argument): Promise<void>
  /** By name. */
  workflow(name: 'random' | 'ship'): Workflow<Input>
}

/** Thrown by what is to fail an attempt. */
export const FLAKE = 'Flake'

/** A line of execution within a handler. */
class Branch {
  readonly path: string
  carry: string
  #count = 0

  constructor(path: string, carry: string) {
    this.path = path
    this.carry = carry
  }

  next(): number {
    return this.#count++
  }

  fold(value: unknown): void {
    this.carry = hash(`${this.carry} ${show(value)}`).toString(36)
  }

  choose<Item>(items: readonly Item[]): Item {
    return items[hash(this.carry) % items.length] as Item
  }

  name(name: Name): string {
    return typeof name === 'string' ? name : this.choose(name)
  }
}

/** Runs the program to its end, as a handler. */
export async function play(ctx: Operations, world: World, input: Input): Promise<unknown> {
  const branch = new Branch('p', input.carry)
  try {
    await new Player(ctx, world).play(input.program, branch)
  } catch (error) {
    if (isFlake(error) || isStop(error)) throw error
    // It would fail in the next attempt as well.
    throw new PermanentError(`ended by ${describe(error)} after ${branch.carry}`)
  }
  return input.returns === 'nothing' ? undefined : { zz: branch.carry, tag: input.tag, a: -0 }
}

class Player {
  readonly #ctx: Operations
  readonly #world: World

  constructor(ctx: Operations, world: World) {
    this.#ctx = ctx
    this.#world = world
  }

  async play(program: Program, branch: Branch): Promise<void> {
    switch (program.kind) {
      case 'record': {
        const options = program.name === undefined ? undefined : { name: program.name }
        this.#record(branch, program.what, options)
        return
      }
      case 'keys': {
        const found = await this.#step(branch, branch.name(program.name), { shape: 'keys', ms: program.ms })
        branch.fold(found)
        const follow = (key: string, of: Branch) => this.#step(of, 'fetch', { shape: 'text', ms: program.ms, what: `${key} of ${show(found)}` })
        const keys = Object.keys(found as object)
        if (program.isBeside) branch.fold(await Promise.all(this.#branches(branch, keys.length).map((of, at) => follow(keys[at] ?? '', of))))
        else for (const key of keys) branch.fold(await follow(key, branch))
        return
      }
      case 'sequence':
        for (const part of program.parts) await this.play(part, branch)
        return
      case 'choose':
        await this.play(branch.choose(program.parts), branch)
        return
      case 'all':
      case 'settled':
      case 'race':
      case 'any': {
        const branches = this.#branches(branch, program.parts.length)
        const begun = program.parts.map((part, at) => this.#begin(part, branches[at] as Branch))
        if (program.kind === 'all') branch.fold(await Promise.all(begun))
        else if (program.kind === 'race') branch.fold(await Promise.race(begun))
        else if (program.kind === 'any') branch.fold(await Promise.any(begun))
        else branch.fold((await Promise.allSettled(begun)).map((each) => (each.status === 'fulfilled' ? each.value : describe(each.reason))))
        return
      }
      case 'try':
        try {
          await this.play(program.part, branch)
        } catch (error) {
          if (isFlake(error) || isStop(error)) throw error
          branch.fold(describe(error))
        }
        return
      case 'wrap':
        try {
          await this.play(program.part, branch)
        } catch (error) {
          if (!isFlake(error)) throw error
          throw new Error(`instead of ${describe(error)}`, program.hasCause ? { cause: error } : {})
        }
        return
      case 'later': {
        const [first] = this.#branches(branch, 1) as [Branch]
        const begun = this.#begin(program.first, first)
        await this.play(program.then, branch)
        branch.fold(await begun)
        return
      }
      case 'throw':
        throw new PermanentError(`it cannot be after ${branch.carry}`)
      default:
        branch.fold(await this.#leaf(program, branch))
    }
  }

  #branches(branch: Branch, count: number): Branch[] {
    const n = branch.next()
    return Array.from({ length: count }, (_, at) => new Branch(`${branch.path}.${n}${String.fromCharCode(97 + at)}`, branch.carry))
  }

  /** A branch that goes on by itself. One of a single operation is the promise of that operation, as the context gives it. */
  #begin(program: Program, branch: Branch): Promise<unknown> {
    const isLeaf = !['record', 'keys', 'sequence', 'choose', 'all', 'settled', 'race', 'any', 'try', 'wrap', 'later', 'throw'].includes(program.kind)
    const begun = isLeaf && !('until' in program && program.until)
      ? this.#leaf(program, branch)
      : this.play(program, branch).then(() => branch.carry)
    // It may fail when nobody awaits it any more, or not yet.
    begun.catch(() => undefined)
    return begun
  }

  /** One operation that is awaited. */
  #leaf(program: Program, branch: Branch): Promise<unknown> {
    const ctx = this.#ctx
    const options = 'name' in program && typeof program.name === 'string' ? { name: program.name } : undefined
    switch (program.kind) {
      case 'step':
        return this.#step(branch, branch.name(program.name), program)
      case 'transaction': {
        const name = branch.name(program.name)
        const argument = this.#argument(branch, name)
        return this.#ask(argument, 'transaction', show(argument), (at) => ctx.transaction(name, async (sql) => {
          await this.#world.book(sql, at, argument)
          return makeValue(argument, program.shape)
        }))
      }
      case 'sleep': {
        const ms = branch.choose(program.ms)
        if (!program.until) return this.#ask(this.#argument(branch, 'sleep'), 'sleep', String(ms), () => ctx.sleep(ms, ...given(options)))
        const time = this.#record(branch, 'now', undefined) as number + ms
        return this.#ask(this.#argument(branch, 'sleep'), 'sleep until', String(time), () => ctx.sleepUntil(new Date(time), ...given(options)))
      }
      case 'event': {
        const key = `${this.#world.executionId} ${branch.name(program.key)}`
        const { timeout } = program
        const waited = this.#ask(this.#argument(branch, 'event'), 'event', `${key} ${timeout}`, () =>
          ctx.waitForEvent(key, { ...options, ...(timeout === undefined ? {} : { timeout }) }))
        // Which event of the key it is may differ.
        return program.timeout === undefined ? waited.then((payload) => (payload as { key: string }).key) : waited.then(() => 'came')
      }
      case 'child': {
        const argument = this.#argument(branch, program.workflow)
        const input = { tag: this.#tag(argument), carry: argument.carry, returns: program.returns, program: program.part }
        return this.#ask(argument, 'child', show(argument), () => ctx.invoke(this.#world.workflow(program.workflow), input, ...given(options)))
      }
      case 'map steps': {
        const argument = this.#argument(branch, program.name ?? 'map')
        const items = Array.from({ length: program.count }, (_, item) => ({ item }))
        return this.#ask(argument, 'map steps', show(argument), (at) => ctx.map(items, ({ item }, index) => {
          if (item !== index) throw new PermanentError(`item ${item} is given as item ${index}`)
          return this.#world.effect({ at, argument, shape: item % 2 === 0 ? 'object' : 'nothing', ms: program.ms, fails: undefined, tries: 0, item })
        }, { ...options, concurrency: program.concurrency }))
      }
      case 'map children': {
        const argument = this.#argument(branch, program.name ?? 'map')
        const inputs = Array.from({ length: program.count }, (_, item): Input => (
          { tag: `${this.#tag(argument)}[${item}]`, carry: argument.carry, returns: item % 2 === 0 ? 'carry' : 'nothing', program: program.part }))
        return this.#ask(argument, 'map children', show(argument), () =>
          ctx.map(inputs, this.#world.workflow('ship'), { ...options, concurrency: program.concurrency }))
      }
      default:
        throw new TypeError(`${program.kind} is no single operation`)
    }
  }

  #step(branch: Branch, name: string, { shape, ms, fails, tries = 0, what }: Pick<Effect, 'shape' | 'ms'> & Partial<Pick<Effect, 'fails' | 'tries'>> & { what?: string }): Promise<unknown> {
    const argument: Argument = { ...this.#argument(branch, name), ...(what === undefined ? {} : { what }) }
    const options = tries === 0 ? [] : [{ retry: { maxAttempts: tries + 1, backoff: { initial: 1 } } }]
    return this.#ask(argument, 'step', show(argument), (at) => {
      let left = tries
      return this.#ctx.step(name, () => this.#world.effect({ at, argument, shape, ms, fails, tries: left--, item: undefined }), ...options)
    })
  }

  #record(branch: Branch, what: 'now' | 'random' | 'uuid', options: { name: string } | undefined): string | number {
    const at = place(this.#argument(branch, what))
    this.#world.note('ask', at, what)
    const given = what === 'uuid' ? this.#ctx.uuid(options) : what === 'random' ? this.#ctx.random(options) : this.#ctx.now(options).getTime()
    this.#world.note('see', at, show(given))
    branch.fold(given)
    return given
  }

  #argument(branch: Branch, name: string): Argument {
    return { by: branch.path, n: branch.next(), name, carry: branch.carry }
  }

  #tag(argument: Argument): string {
    return `${this.#world.executionId} ${place(argument)}`
  }

  #ask(argument: Argument, kind: string, text: string, start: (at: string) => Promise<unknown>): Promise<unknown> {
    const at = place(argument)
    this.#world.note('ask', at, `${kind} ${text}`)
    const asked = start(at)
    // Before anybody else who awaits it.
    asked.then(
      (value) => { this.#world.note('see', at, show(value)) },
      (error: unknown) => { this.#world.note(isStop(error) ? 'stop' : 'fail', at, describe(error)) },
    )
    return asked
  }
}

const place = ({ by, n }: Argument): string => `${by}:${n};`

const given = (options: { name: string } | undefined): [] | [{ name: string }] => (options === undefined ? [] : [options])

/** Whether the run is over: nothing that its handler does counts any more. */
export function isStop(error: unknown): boolean {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'LEASE_LOST' || code === 'EXECUTOR_STOPPED' || code === 'EXECUTION_ENDED'
}

function isFlake(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return error.name === FLAKE || isFlake(error.cause) || /^instead of/.test(error.message) || (error instanceof AggregateError && error.errors.some(isFlake))
}

/** An error as a program may tell it from others. */
export function describe(error: unknown): string {
  if (error instanceof AggregateError) return `none of ${error.errors.map(describe).join(' or ')}`
  if (!(error instanceof Error)) return `thrown ${show(error)}`
  // Its text has the id of the child.
  if (error.name === 'ChildFailedError') return error.name
  return `${error.name} ${'code' in error ? String(error.code) : ''} ${error.message}`
}
