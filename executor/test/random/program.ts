// Random programs as data: made from a seed, and taken apart to find the smallest that fails.
import { type Shape, SHAPES } from './values.js'

/** One name, or several of which the branch's results choose one. */
export type Name = string | readonly string[]

export type Program =
  | {
      kind: 'step'
      name: Name
      shape: Shape
      /** How long it takes, about, in milliseconds. */
      ms: number
      /**
       * always: it throws, and the handler goes on or ends. attempt: now and then it throws what fails the attempt. chance: now and
       * then it throws, and the handler goes on either way: what it went on from must stay.
       */
      fails?: 'always' | 'attempt' | 'chance'
      /** So many tries of the step's own fail before it succeeds. */
      tries?: number
    }
  | { kind: 'transaction'; name: Name; shape: Shape }
  | { kind: 'record'; what: 'now' | 'random' | 'uuid'; name?: string }
  /** Until a time that ctx.now() gave, where `until` says so. */
  | { kind: 'sleep'; ms: readonly number[]; until: boolean; name?: string }
  | { kind: 'event'; key: Name; timeout?: number; name?: string }
  | { kind: 'child'; workflow: 'random' | 'ship'; returns: 'carry' | 'nothing'; part: Program; name?: string }
  | { kind: 'map steps'; name?: string; count: number; concurrency: number; ms: number }
  | { kind: 'map children'; name?: string; count: number; concurrency: number; part: Program }
  /** A step whose result's keys say which steps follow. */
  | { kind: 'keys'; name: Name; ms: number; isBeside: boolean }
  | { kind: 'sequence' | 'all' | 'settled' | 'race' | 'any' | 'choose'; parts: Program[] }
  /** Goes on from every error but one that is to fail the attempt. */
  | { kind: 'try'; part: Program }
  /** Throws another error in place of one that is to fail the attempt: with it as the cause, or without. */
  | { kind: 'wrap'; part: Program; hasCause: boolean }
  /** Begins the first, then does the second, and only then awaits the first. */
  | { kind: 'later'; first: Program; then: Program }
  | { kind: 'throw' }

const NAMES = ['fetch', 'save', 'ship']

/** @param depth how deep parts may lie in each other */
export function makeProgram(random: () => number, depth = 3): Program {
  return made({ random, isWrapBare: true }, depth)
}

interface Making {
  random: () => number
  /** An error without its cause still tells the failed step while nothing is asked between the failure and the end. */
  isWrapBare: boolean
}

function made(making: Making, depth: number): Program {
  const { random } = making
  const below = (limit: number) => Math.floor(random() * limit)
  const one = <Item>(items: readonly Item[]): Item => items[below(items.length)] as Item
  const name = (): Name => (random() < 0.3 ? NAMES : one(NAMES))
  const named = () => (random() < 0.2 ? { name: one(NAMES) } : {})
  const ms = () => (random() < 0.4 ? 0 : below(random() < 0.7 ? 8 : 40))
  const part = (more: Partial<Making> = {}) => made({ ...making, ...more }, depth - 1)
  const parts = (least: number, more: Partial<Making> = {}) => Array.from({ length: least + below(4 - least) }, () => part(more))
  const step = (): Program => ({ kind: 'step', name: name(), shape: one(SHAPES), ms: ms() })
  const sleep = (): Program => ({ kind: 'sleep', ms: random() < 0.3 ? [1, 9, 25] : [1 + below(20)], until: random() < 0.2, ...named() })
  const leaves: (() => Program)[] = [
    step,
    step,
    step,
    sleep,
    sleep,
    () => ({ kind: 'step', name: name(), shape: 'object', ms: ms(), fails: one(['always', 'attempt', 'attempt', 'chance']) }),
    () => ({ kind: 'step', name: name(), shape: 'text', ms: ms(), tries: 1 + below(2) }),
    () => ({ kind: 'transaction', name: name(), shape: one(SHAPES) }),
    () => ({ kind: 'record', what: one(['now', 'random', 'uuid']), ...named() }),
    () => ({ kind: 'event', key: random() < 0.3 ? ['paid', 'sent'] : one(['paid', 'sent']), ...(random() < 0.25 ? { timeout: 1 + below(60) } : {}), ...named() }),
    () => ({ kind: 'map steps', count: 1 + below(4), concurrency: 1 + below(3), ms: ms(), ...named() }),
    () => ({ kind: 'keys', name: name(), ms: ms(), isBeside: random() < 0.5 }),
    () => (random() < 0.3 ? { kind: 'throw' } : step()),
  ]
  const branches: (() => Program)[] = [
    () => ({ kind: 'sequence', parts: parts(2) }),
    () => ({ kind: 'sequence', parts: parts(2) }),
    () => ({ kind: 'sequence', parts: parts(2) }),
    () => ({ kind: 'all', parts: parts(2) }),
    () => ({ kind: 'all', parts: parts(2) }),
    () => ({ kind: 'settled', parts: parts(2, { isWrapBare: false }) }),
    () => ({ kind: 'race', parts: parts(2) }),
    () => ({ kind: 'any', parts: parts(2, { isWrapBare: false }) }),
    () => ({ kind: 'choose', parts: parts(2) }),
    () => ({ kind: 'try', part: part() }),
    () => wrap(part(), making.isWrapBare && random() < 0.5),
    () => ({ kind: 'later', first: part({ isWrapBare: false }), then: part({ isWrapBare: false }) }),
    () => ({ kind: 'child', workflow: one(['random', 'ship']), returns: one(['carry', 'carry', 'nothing']), part: made({ random, isWrapBare: true }, Math.min(depth - 1, 1)), ...named() }),
    () => ({ kind: 'map children', count: 1 + below(3), concurrency: 1 + below(3), part: made({ random, isWrapBare: true }, random() < 0.7 ? 0 : Math.min(depth - 1, 1)), ...named() }),
  ]
  return depth > 0 && random() < (depth > 2 ? 1 : 0.65) ? one(branches)() : one(leaves)()
}

/** Without the cause only where the failure that fails the attempt is thrown at once: see isWrapBare. */
function wrap(part: Program, isBare: boolean): Program {
  return { kind: 'wrap', part, hasCause: !isBare || /"(any|settled|later)"/.test(JSON.stringify(part)) }
}

/** Whether the program may throw, and whether how it ends is a matter of chance even when nothing crashes. */
export function factsOf(program: Program): { throws: boolean; failsAttempts: boolean; isChance: boolean } {
  const none = { throws: false, failsAttempts: false, isChance: false }
  switch (program.kind) {
    case 'step':
      return { throws: program.fails === 'always' || program.fails === 'chance', failsAttempts: program.fails === 'attempt', isChance: program.fails === 'chance' }
    case 'event':
      return { ...none, throws: program.timeout !== undefined, isChance: program.timeout !== undefined }
    case 'throw':
      return { ...none, throws: true }
    case 'child':
    case 'map children': {
      const facts = factsOf(program.part)
      // Which of several failed children is told of is a matter of time.
      return { throws: facts.throws, failsAttempts: false, isChance: facts.isChance || (program.kind === 'map children' && facts.throws) }
    }
    case 'wrap':
      return factsOf(program.part)
    case 'try':
      return { ...factsOf(program.part), throws: false }
    case 'later': {
      const [first, then] = [factsOf(program.first), factsOf(program.then)]
      return { throws: first.throws || then.throws, failsAttempts: first.failsAttempts || then.failsAttempts, isChance: first.isChance || then.isChance }
    }
    case 'sequence':
    case 'choose':
    case 'all':
    case 'settled':
    case 'race':
    case 'any': {
      const facts = program.parts.map(factsOf)
      const throws = facts.filter((each) => each.throws).length
      const failsAttempts = facts.some((each) => each.failsAttempts)
      const isChance = facts.some((each) => each.isChance)
      if (program.kind === 'race') return { throws: throws > 0, failsAttempts, isChance: true }
      if (program.kind === 'any') return { throws: throws === facts.length, failsAttempts, isChance: true }
      if (program.kind === 'settled') return { throws: false, failsAttempts: false, isChance: isChance || failsAttempts }
      return { throws: throws > 0, failsAttempts, isChance: isChance || (program.kind === 'all' && throws > 1) }
    }
    default:
      return none
  }
}

/** Programs that are a little smaller, the smallest first. */
export function smaller(program: Program): Program[] {
  const found: Program[] = []
  if ('parts' in program) {
    found.push(...program.parts)
    if (program.parts.length > 1) {
      for (const at of program.parts.keys()) found.push({ ...program, parts: program.parts.filter((_, other) => other !== at) })
    }
    for (const [at, part] of program.parts.entries()) {
      for (const less of smaller(part)) found.push({ ...program, parts: program.parts.map((each, other) => (other === at ? less : each)) })
    }
  }
  if ('part' in program) {
    found.push(program.part)
    for (const less of smaller(program.part)) found.push({ ...program, part: less })
  }
  if (program.kind === 'later') {
    found.push(program.first, program.then)
    for (const less of smaller(program.first)) found.push({ ...program, first: less })
    for (const less of smaller(program.then)) found.push({ ...program, then: less })
  }
  return found.sort((one, other) => sizeOf(one) - sizeOf(other))
}

/** How long its text is. */
export const sizeOf = (program: Program): number => JSON.stringify(program).length
