// The order in which a handler sees results: one at a time, each followed until the handler rests, before the next. Results that
// earlier runs have recorded come first, in the order in which the handler saw them then; new ones in the order in which they are
// ready. So a handler that is deterministic but for its steps does the same in every run, whatever it runs side by side.
import type { Recorded } from './protocol.js'

/** A place in the order that is being taken; nothing else is given before done() is called. */
export interface Taken {
  order: number
  done: () => void
}

interface Turn {
  resolve: (order: number) => void
  reject: (error: Error) => void
  index: number
  /** Nothing else is given before. */
  until?: Promise<void>
}

/** What was seen at once: a step, a wait, or a map of children. */
interface Due {
  name: string
  order: number
}

let resting: (() => void)[] | undefined

/** Calls back once everything that can go on without the outside has gone on. One turn of the event loop for all who ask in the same. */
export function whenAtRest(callback: () => void): void {
  if (resting === undefined) {
    resting = []
    setImmediate(() => {
      const due = resting ?? []
      resting = undefined
      for (const each of due) each()
    })
  }
  resting.push(callback)
}

export class Sequence {
  /** What was recorded and is to be seen next, the last first. */
  readonly #due: Due[]
  /** Those who have asked for what was recorded, by name. */
  readonly #asked = new Map<string, Turn>()
  /** Those who have asked for what has no place in the order any more: they get it at once. */
  readonly #loose: Turn[] = []
  /** New results, in the order in which they were ready. */
  readonly #ready: Turn[] = []
  readonly #held: { resolve: () => void; reject: (error: Error) => void }[] = []
  readonly #onRest: () => void
  #last = -1
  #until: Promise<void> | undefined
  #isMoving = true
  #closed: Error | undefined

  /** @param onRest called when the handler rests and nothing can be given to it */
  constructor(recorded: readonly Recorded[], onRest: () => void) {
    this.#due = dueOf(recorded)
    this.#onRest = onRest
  }

  /** The handler was called: once it rests, results are given. */
  begin(): void {
    whenAtRest(() => {
      this.#move()
    })
  }

  /** Name of what was recorded and comes next; undefined once all of it has been seen. */
  get nextRecorded(): string | undefined {
    return this.#due.at(-1)?.name
  }

  /** The place that the next result takes if it is that of the step with this index. */
  orderFor(index: number): number {
    return Math.max(index, this.#last + 1)
  }

  /** The place of the next result if it is that of an earlier step. */
  get nextOrder(): number {
    return this.#last + 1
  }

  /** Resolves when it is the turn of a recorded result. */
  async recorded(name: string, isLoose: boolean): Promise<void> {
    await this.#turn(0, (turn) => {
      if (isLoose) this.#loose.push(turn)
      else this.#asked.set(name, turn)
    })
  }

  /** Resolves when it is the turn of a new result; with its place in the order. */
  async fresh(index: number): Promise<number> {
    return await this.#turn(index, (turn) => this.#ready.push(turn))
  }

  /** As fresh(), for what must know its place before it can be seen, as a transaction that records it. */
  async taken(index: number): Promise<Taken> {
    let done: () => void = () => undefined
    const order = await this.#turn(index, (turn) => this.#ready.push({ ...turn, until: new Promise<void>((resolve) => (done = resolve)) }))
    return { order, done }
  }

  /** Something that the handler sees at the moment of asking, such as ctx.now(). Returns its place in the order. */
  instant(name: string, index: number, recordedOrder: number | undefined): number {
    const order = recordedOrder ?? this.orderFor(index)
    this.#last = Math.max(this.#last, order)
    const at = this.#due.findLastIndex((due) => due.name === name)
    if (at >= 0) this.#due.splice(at, 1)
    if (this.#due.length === 0) this.#release()
    return order
  }

  /** Resolves once all that was recorded has been seen: only then does anything new begin. */
  async live(): Promise<void> {
    if (this.#closed !== undefined) throw this.#closed
    if (this.#due.length === 0) return
    await new Promise<void>((resolve, reject) => {
      this.#held.push({ resolve, reject })
    })
  }

  /** Gives nothing any more; whoever waits for a turn gets this error. */
  close(error: Error): void {
    this.#closed ??= error
    for (const { reject } of [...this.#asked.values(), ...this.#loose.splice(0), ...this.#ready.splice(0), ...this.#held.splice(0)]) reject(error)
    this.#asked.clear()
  }

  async #turn(index: number, enter: (turn: Turn) => void): Promise<number> {
    if (this.#closed !== undefined) throw this.#closed
    return await new Promise<number>((resolve, reject) => {
      enter({ resolve, reject, index })
      if (!this.#isMoving) this.#move()
    })
  }

  /** The handler rests: gives the next result, if there is one, and comes back when the handler rests again. */
  #move(): void {
    this.#isMoving = this.#give()
    const next = () => {
      whenAtRest(() => {
        this.#move()
      })
    }
    if (!this.#isMoving) this.#onRest()
    else if (this.#until === undefined) next()
    else void this.#until.then(next)
  }

  /** The handler goes on with what it was given, or something is about to be given. */
  get isMoving(): boolean {
    return this.#isMoving
  }

  #give(): boolean {
    this.#until = undefined
    const loose = this.#loose.shift()
    if (loose !== undefined) {
      loose.resolve(-1)
      return true
    }
    const due = this.#due.at(-1)
    if (due !== undefined) {
      const asked = this.#asked.get(due.name)
      if (asked === undefined) return false
      this.#asked.delete(due.name)
      this.#due.pop()
      this.#last = due.order
      asked.resolve(due.order)
      if (this.#due.length === 0) this.#release()
      return true
    }
    const ready = this.#ready.shift()
    if (ready === undefined) return false
    this.#last = this.orderFor(ready.index)
    this.#until = ready.until
    ready.resolve(this.#last)
    return true
  }

  #release(): void {
    for (const { resolve } of this.#held.splice(0)) resolve()
  }
}

/** The last first. What is seen at the moment of asking needs no turn; a map of children is seen when its last one is. */
function dueOf(recorded: readonly Recorded[]): Due[] {
  const due = new Map<string, Due>()
  for (const step of recorded) {
    if (step.order === -1 || step.waiting === true || isInstant(step)) continue
    const name = step.group ?? step.name
    const order = Math.max(step.order ?? step.index, due.get(name)?.order ?? -1)
    due.set(name, { name, order })
  }
  return [...due.values()].sort((a, b) => b.order - a.order)
}

/** What ctx.now(), ctx.random() and ctx.uuid() ask for. */
export const INSTANTS = { now: 'a time', random: 'a random number', uuid: 'a uuid' } as const

function isInstant({ asked }: Recorded): boolean {
  return asked === INSTANTS.now || asked === INSTANTS.random || asked === INSTANTS.uuid
}
