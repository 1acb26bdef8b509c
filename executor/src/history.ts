// What an execution has recorded, the names that its steps get in this run, and whether a run asks for what was asked before. A run
// that asks for something else has other code, or did not follow from what was recorded: its results would go to the wrong steps.
import { createHash } from 'node:crypto'
import { UsageError } from './errors.js'
import type { Recorded } from './protocol.js'
import { isLoose } from './sequence.js'

/** A step's name, numbered when it was used before, and its place in the order of asking. */
export interface Place {
  name: string
  index: number
  /** The place that the next result would have taken when it was asked for; undefined when that is the index. */
  askedOrder?: number | undefined
}

/** What was recorded, and what was asked for in its place, each in words. */
export interface Difference {
  recorded: string
  asked: string
}

/** @throws UsageError for a name that cannot be recorded */
export function checkStepName(name: string): void {
  if (name.length < 1 || name.length > 200) {
    throw new UsageError(`a step name has 1 to 200 characters, not ${name.length}`)
  }
  if (name.includes('\0') || !name.isWellFormed()) {
    throw new UsageError(`a step name cannot have the character U+0000 or half of a surrogate pair, as ${JSON.stringify(name)} has`)
  }
}

/** What a child is asked, in words: its workflow, and a hash of its input (JSON text). */
export function childAsked(workflow: string, input: string): string {
  return `a child of workflow '${workflow}' with an input of the hash ${createHash('sha256').update(input).digest('hex').slice(0, 16)}`
}

/** Up to so many names are looked for one after the other. */
const MANY = 16

export class History {
  /** Undefined when nothing was recorded. */
  readonly #recorded: Map<string, Recorded> | undefined
  /** What was asked for while nothing else was under way, by index: code that has not changed asks for the same again. */
  readonly #alone: Map<number, Recorded> | undefined
  /** Waits that go on, and have not been asked for in this run yet. */
  readonly #unasked: Set<string> | undefined
  /** In the order of asking: the first one, which is the only one of many runs; the others; all of them once they are many. */
  #first: string | undefined
  #others: string[] | undefined
  #known: Set<string> | undefined
  #count = 0
  /** How often a name was used, where more than once. */
  #uses: Map<string, number> | undefined

  constructor(recorded: readonly Recorded[]) {
    if (recorded.length === 0) return
    this.#recorded = new Map(recorded.map((step) => [step.name, step]))
    this.#alone = new Map()
    const unasked: string[] = []
    for (const step of recorded) {
      if (!isLoose(step) && step.asked_order === undefined) this.#alone.set(step.index, step)
      if (!isLoose(step) && step.waiting === true) unasked.push(step.name)
    }
    if (unasked.length > 0) this.#unasked = new Set(unasked)
  }

  /** The name of the next step: numbered when it was used before. */
  next(name: string): string {
    let numbered = name
    let use = this.#uses?.get(name) ?? 1
    while (this.#has(numbered)) numbered = `${name}#${++use}`
    if (use > 1) (this.#uses ??= new Map()).set(name, use)
    if (this.#count === 0) this.#first = numbered
    else if (this.#known !== undefined) this.#known.add(numbered)
    else (this.#others ??= []).push(numbered)
    this.#count++
    return numbered
  }

  /** How many names were given. */
  get count(): number {
    return this.#count
  }

  #has(name: string): boolean {
    if (this.#first === name) return true
    if (this.#known === undefined && this.#count > MANY) this.#known = new Set(this.#others)
    return this.#known === undefined ? this.#others?.includes(name) === true : this.#known.has(name)
  }

  /** What was recorded under this name, if anything. */
  find(name: string): Recorded | undefined {
    return this.#recorded?.get(name)
  }

  /**
   * How what is asked for differs from what was recorded, if it does.
   * @param asked in words; undefined for a plain step
   * @param isAlone nothing else is under way, so code that has not changed asks for the same as the runs before
   */
  difference(place: Place, asked: string | undefined, isAlone: boolean): Difference | undefined {
    if (this.#recorded === undefined) return undefined
    this.#unasked?.delete(place.name)
    const found = this.#recorded.get(place.name)
    if (found !== undefined && !isSame(found, asked)) return { recorded: inWords(found.name, found.asked), asked: inWords(place.name, asked) }
    const other = isAlone ? this.#alone?.get(place.index) : undefined
    if (other === undefined || this.#has(other.name)) return undefined
    return { recorded: inWords(other.name, other.asked), asked: inWords(place.name, asked) }
  }

  /** A wait that goes on and that this run has not asked for. */
  get unaskedWait(): string | undefined {
    for (const name of this.#unasked ?? []) return name
    return undefined
  }

  /** A recorded step in words. */
  describe(name: string): string {
    return inWords(name, this.#recorded?.get(name)?.asked)
  }
}

/** A step in words, for people. */
export function inWords(name: string, asked: string | undefined): string {
  return asked === undefined ? `step '${name}'` : `'${name}', ${asked}`
}

/** Executors of older versions have not kept what was asked; there the kind counts. */
function isSame(found: Recorded, asked: string | undefined): boolean {
  if (found.asked !== undefined) return found.asked === asked
  if (found.wait === true) return asked !== undefined && isWait(asked)
  return asked === undefined || !isWait(asked)
}

function isWait(asked: string): boolean {
  return /^(a sleep|an event|a child) /.test(asked)
}
