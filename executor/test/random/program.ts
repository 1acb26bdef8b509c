// Random programs: made from a seed, run as workflows, and understood by a small model that says how each must end.
import { z } from 'zod'
import { type Context, PermanentError, type Workflow, workflow } from '../../src/index.js'

export type Program =
  | { kind: 'step'; value: number }
  /** A step whose own retry saves it. */
  | { kind: 'retried step'; value: number; failures: number }
  /** A step that fails so many attempts of the execution. */
  | { kind: 'flaky'; value: number; failures: number }
  | { kind: 'record' }
  | { kind: 'sleep'; milliseconds: number }
  | { kind: 'event'; key: string }
  | { kind: 'throw'; message: string }
  | { kind: 'sequence'; parts: Program[] }
  | { kind: 'parallel'; parts: Program[] }
  | { kind: 'child'; part: Program }
  | { kind: 'map'; values: number[]; concurrency: number }
  | { kind: 'try'; part: Program }

/** How a program ends: with a value, or with one of these errors. */
export type Ending = { value: unknown } | { errors: string[] }

/** Numbers from 0 to below 1 that follow from the seed. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** @param depth how deep parts may lie in each other */
export function makeProgram(random: () => number, depth = 3): Program {
  const below = (limit: number) => Math.floor(random() * limit)
  const parts = () => Array.from({ length: 1 + below(3) }, () => makeProgram(random, depth - 1))
  const leaves: (() => Program)[] = [
    () => ({ kind: 'step', value: below(100) }),
    () => ({ kind: 'step', value: below(100) }),
    () => ({ kind: 'retried step', value: below(100), failures: below(3) }),
    () => ({ kind: 'flaky', value: below(100), failures: below(2) }),
    () => ({ kind: 'record' }),
    () => ({ kind: 'sleep', milliseconds: below(40) }),
    () => ({ kind: 'event', key: `key ${below(3)}` }),
    () => ({ kind: 'map', values: Array.from({ length: below(4) }, () => below(100)), concurrency: 1 + below(3) }),
    () => ({ kind: 'throw', message: `error ${below(100)}` }),
  ]
  const branches: (() => Program)[] = [
    () => ({ kind: 'sequence', parts: parts() }),
    () => ({ kind: 'sequence', parts: parts() }),
    () => ({ kind: 'parallel', parts: parts() }),
    () => ({ kind: 'child', part: makeProgram(random, depth - 1) }),
    () => ({ kind: 'try', part: makeProgram(random, depth - 1) }),
  ]
  const choices = depth > 0 && random() < 0.6 ? branches : leaves
  return (choices[below(choices.length)] ?? leaves[0])?.() ?? { kind: 'record' }
}

/** How the program must end. */
export function predict(program: Program): Ending {
  switch (program.kind) {
    case 'step':
    case 'retried step':
    case 'flaky':
      return { value: program.value }
    case 'record':
      return { value: true }
    case 'sleep':
      return { value: null }
    case 'event':
      return { value: program.key }
    case 'throw':
      return { errors: [program.message] }
    case 'map':
      return { value: program.values.map((value) => value * 2) }
    case 'child':
      return predict(program.part)
    case 'try': {
      const ending = predict(program.part)
      return 'errors' in ending ? { value: 'caught' } : ending
    }
    case 'sequence': {
      const values: unknown[] = []
      for (const part of program.parts) {
        const ending = predict(part)
        if ('errors' in ending) return ending
        values.push(ending.value)
      }
      return { value: values }
    }
    case 'parallel': {
      const endings = program.parts.map(predict)
      const errors = endings.flatMap((ending) => ('errors' in ending ? ending.errors : []))
      // Which of them is first is a matter of time.
      return errors.length > 0 ? { errors } : { value: endings.map((ending) => ('value' in ending ? ending.value : null)) }
    }
  }
}

/** Workflows that run programs, and how often each effect happened: by execution and step. */
export function interpreter(): { workflows: readonly Workflow[]; run: Workflow<{ program: Program }>; effects: Map<string, number> } {
  const effects = new Map<string, number>()
  const failures = new Map<string, number>()
  /** Whether this is one of the first so many times. */
  const isEarly = (key: string, count: number) => {
    const before = failures.get(key) ?? 0
    failures.set(key, before + 1)
    return before < count
  }
  const input = z.object({ program: z.custom<Program>() })
  const retry = { maxAttempts: 60, backoff: { initial: 0 } }
  const doubled = workflow({ name: 'random item', input: z.number(), retry }, (ctx, value) => ctx.step('double', () => value * 2))

  const play = async (ctx: Context, program: Program, path: string): Promise<unknown> => {
    const effect = <Value>(value: Value): Value => {
      const key = `${ctx.executionId} ${path}`
      effects.set(key, (effects.get(key) ?? 0) + 1)
      return value
    }
    switch (program.kind) {
      case 'step':
        return await ctx.step(path, () => effect(program.value))
      case 'retried step':
        return await ctx.step(path, () => {
          if (isEarly(`${ctx.executionId} ${path}`, program.failures)) throw new Error('a try fails')
          return effect(program.value)
        }, { retry: { maxAttempts: 5, backoff: { initial: 1 } } })
      case 'flaky':
        return await ctx.step(path, () => {
          if (isEarly(`${ctx.executionId} ${path}`, program.failures)) throw new Flake()
          return effect(program.value)
        })
      case 'record':
        return ctx.random() < 1 && ctx.uuid().length === 36 && ctx.now() instanceof Date
      case 'sleep':
        await ctx.sleep(program.milliseconds)
        return null
      case 'event':
        return await ctx.waitForEvent(program.key)
      case 'throw':
        throw new PermanentError(program.message)
      case 'map':
        return await ctx.map(program.values, doubled, { concurrency: program.concurrency })
      case 'child':
        return await ctx.invoke(run, { program: program.part })
      case 'try':
        try {
          return await play(ctx, program.part, `${path}.try`)
        } catch (error) {
          if (error instanceof PermanentError) return 'caught'
          throw error
        }
      case 'sequence': {
        const values: unknown[] = []
        for (const [at, part] of program.parts.entries()) values.push(await play(ctx, part, `${path}.${at}`))
        return values
      }
      case 'parallel':
        return await Promise.all(program.parts.map((part, at) => play(ctx, part, `${path}.${at}`)))
    }
  }
  const run: Workflow<{ program: Program }> = workflow({ name: 'random program', input, retry }, (ctx, { program }): Promise<unknown> => play(ctx, program, 'p'))
  return { workflows: [run, doubled], run, effects }
}

/** What an attempt of the execution fails with, to be tried again. */
class Flake extends Error {}

/** Every key that the program waits for, and how often at most. */
export function keysOf(program: Program): string[] {
  switch (program.kind) {
    case 'event':
      return [program.key]
    case 'sequence':
    case 'parallel':
      return program.parts.flatMap(keysOf)
    case 'child':
    case 'try':
      return keysOf(program.part)
    default:
      return []
  }
}
