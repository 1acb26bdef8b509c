// One run of a handler beside what earlier runs have recorded: what it asks for, what it is given and when, and what becomes of the
// run when the handler only waits, or asks for something else than before.
import { Activity, type ActivityListener } from './activity.js'
import { type Difference, History, inWords, type Place } from './history.js'
import type { Recorded, Wait } from './protocol.js'
import { Sequence, type SequenceListener, type Taken, whenAtRest } from './sequence.js'

/** How a run ends that its handler does not end. */
export type ReplayEnd = { kind: 'waiting'; waits: Wait[] } | ({ kind: 'changed' } & Difference)

/** What an operation has been asked, and whether anything else was under way then. */
export interface Asked extends Place {
  isAlone: boolean
}

/** Thrown to an operation that must not go on, because the run is over; it never settles then. */
export const HALTED = new Error('the run is over')

/**
 * How long a handler that rests may take to ask for what was recorded next, while other operations of it wait. It may be busy with
 * something of its own; in code that has changed it never asks.
 */
const CHANGED_AFTER_MS = 5000

/** The run, as far as the replay tells it something. */
export interface ReplayListener {
  /** The run ends, though its handler does not. */
  onReplayEnd(end: ReplayEnd): void
  /** These waits begin while steps are still under way. */
  onWaitsBegin(waits: Wait[]): void
}

export class Replay implements SequenceListener, ActivityListener {
  readonly history: History
  readonly sequence: Sequence
  readonly activity: Activity
  readonly #listener: ReplayListener
  #waits: Wait[] | undefined
  /** How many of them have begun while steps were under way. */
  #begun = 0
  /** Operations that the handler has asked for and has not been given. */
  #outstanding = 0
  #asks = 0
  /** In words, the first thing that was asked for and not recorded. */
  #firstNew: string | undefined
  #isOver = false
  #isHandlerDone = false
  /** Turns of rest until it is decided whether something is at its end. */
  #looks = 0
  /** Changes with everything that happens; and as it was when the last look began. */
  #version = 0
  #seen = 0
  #whenComplete: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(recorded: readonly Recorded[], listener: ReplayListener) {
    this.history = new History(recorded)
    this.sequence = new Sequence(recorded, this)
    this.activity = new Activity(this)
    this.#listener = listener
  }

  /** The handler was called. */
  begin(): void {
    this.sequence.begin()
  }

  /** The handler has returned. What it has left running may still ask for something. */
  handlerDone(): void {
    this.#isHandlerDone = true
    this.look()
  }

  /** Resolves when all that was recorded has been seen; never when it never is. */
  async completed(): Promise<void> {
    if (!this.isComplete) await new Promise<void>((resolve) => (this.#whenComplete = resolve))
  }

  /** Whether everything that was recorded has been asked for again. */
  get isComplete(): boolean {
    return this.sequence.nextRecorded === undefined && this.history.unaskedWait === undefined
  }

  /** How many operations were asked for; an item of a map counts when it begins. */
  get asks(): number {
    return this.#asks
  }

  ask(name: string): Asked {
    if (this.#isOver) throw HALTED
    this.#asks++
    const isAlone = this.#outstanding++ === 0
    this.#version++
    return this.#place(name, isAlone)
  }

  /** Asks for a map: a name for all of it, and one for each item. */
  askAll(name: string, count: number): { whole: Asked; items: Asked[] } {
    const whole = this.ask(name)
    return { whole, items: Array.from({ length: count }, (_, item) => this.#place(`${whole.name}[${item}]`, false)) }
  }

  /** An item of a map begins. */
  askItem(): void {
    if (this.#isOver) throw HALTED
    this.#asks++
    this.#outstanding++
    this.#version++
  }

  #place(name: string, isAlone: boolean): Asked {
    const index = this.history.count
    const order = isAlone ? this.sequence.orderFor(index) : this.sequence.nextOrder
    return { name: this.history.next(name), index, askedOrder: order === index ? undefined : order, isAlone }
  }

  /**
   * What was recorded of this and is over, if anything.
   * @throws HALTED when something else was recorded in its place: the run is over
   */
  recorded(place: Asked, asked: string | undefined): Recorded | undefined {
    const difference = this.history.difference(place, asked, place.isAlone)
    if (difference !== undefined) {
      this.#end({ kind: 'changed', ...difference })
      throw HALTED
    }
    const found = this.history.find(place.name)
    if (found === undefined && this.#firstNew === undefined && !this.isComplete) this.#firstNew = inWords(place.name, asked)
    return found?.waiting === true ? undefined : found
  }

  /** Resolves when it is the turn of a recorded result. */
  async turnOf(recorded: Recorded): Promise<void> {
    await this.sequence.recorded(recorded.group ?? recorded.name)
    this.given()
  }

  /** Resolves when it is the turn of a new result; with its place in the order. */
  async fresh({ index }: Place): Promise<number> {
    const order = await this.sequence.fresh(index)
    this.given()
    return order
  }

  /** As fresh(), for what must know its place before it can be seen. */
  async taken({ index }: Place): Promise<Taken> {
    const taken = await this.sequence.taken(index)
    return {
      order: taken.order,
      done: () => {
        this.given()
        taken.done()
      },
    }
  }

  /** Something that was asked for was given. */
  given(): void {
    this.#outstanding--
    this.#version++
    if (this.#timer === undefined) return
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** The handler stays here: the run ends before these waits are over. */
  wait(waits: readonly Wait[]): Promise<never> {
    this.#waits = this.#waits === undefined ? [...waits] : this.#waits.concat(waits)
    this.look()
    return new Promise<never>(() => undefined)
  }

  /** The run has come to its end. What is still asked for never settles. */
  finish(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** The run was stopped: whoever waits for something gets this error. */
  close(error: Error): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.sequence.close(error)
  }

  onRest(): void {
    this.look()
  }

  onIdle(): void {
    this.look()
  }

  /** Something may be at its end: decides once the handler has rested for two turns. */
  look(): void {
    // Most runs have nothing to decide.
    if (this.#isOver || (this.#waits === undefined && !this.#isHandlerDone && this.sequence.nextRecorded === undefined)) return
    const isLooking = this.#looks > 0
    this.#looks = 2
    this.#seen = this.#version
    if (!isLooking) whenAtRest(this)
  }

  atRest(): void {
    if (this.#seen !== this.#version) this.#looks = 2
    this.#seen = this.#version
    if (--this.#looks > 0) whenAtRest(this)
    else this.#decide()
  }

  #decide(): void {
    if (this.#isOver || this.sequence.isMoving) return
    if (!this.activity.isIdle) {
      const all = this.#waits ?? []
      if (this.sequence.nextRecorded !== undefined || this.#begun === all.length || this.#isHandlerDone) return
      // Those that an earlier run has begun go on.
      const waits = all.slice(this.#begun).filter(({ name }) => this.history.find(name) === undefined)
      this.#begun = all.length
      if (waits.length > 0) this.#listener.onWaitsBegin(waits)
      return
    }
    const next = this.sequence.nextRecorded ?? (this.#isHandlerDone || this.#waits !== undefined ? this.history.unaskedWait : undefined)
    if (next === undefined) {
      this.#whenComplete?.()
      if (!this.#isHandlerDone && this.#waits !== undefined) this.#end({ kind: 'waiting', waits: this.#waits })
      return
    }
    // What was recorded next is not asked for. Where nothing else of the handler waits for us it may be about to; else it never will.
    if (this.#outstanding === 0) {
      if (this.#isHandlerDone) this.#changed(next)
    } else {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined
        if (!this.#isOver && !this.sequence.isMoving && this.activity.isIdle) this.#changed(next)
      }, CHANGED_AFTER_MS)
    }
  }

  #changed(recorded: string): void {
    const asked = this.#firstNew ?? (this.#isHandlerDone ? 'the end of the handler' : 'only what was recorded after it')
    this.#end({ kind: 'changed', recorded: this.history.describe(recorded), asked })
  }

  #end(end: ReplayEnd): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#listener.onReplayEnd(end)
  }
}
