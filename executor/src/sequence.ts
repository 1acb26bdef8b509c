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
  /** It was asked for after something that happens again, so it may not be asked for any more: nobody waits for that. */
  isLoose: boolean
}

/** Something that goes on once the handler rests. */
interface Resting {
  atRest(): void
}

let resting: Resting[] | undefined

/** Calls back once everything that can go on without the outside has gone on. One turn of the event loop for all who ask in the same. */
export function whenAtRest(who: Resting): void {
  if (resting === undefined) {
    resting = []
    setImmediate(callAll)
  }
  resting.push(who)
}

function callAll(): void {
  const due = resting ?? []
  resting = undefined
  for (const who of due) who.atRest()
}

/** Who hears that the handler rests and nothing can be given to it. */
export interface SequenceListener {
  onRest(): void
}

// Most runs record one step after the other, and none before: what those do not need is made when it is needed.
export class Sequence implements Resting {
  readonly #listener: SequenceListener
  /** What was recorded and is to be seen next, the last first. */
  #due: Due[] | undefined
  /** Those who have asked for what was recorded, by name. */
  #asked: Map<string, Turn> | undefined
  /** New results, in the order in which they were ready: the first, and those that follow while it waits for its turn. */
  #ready: Turn | undefined
  #others: Turn[] | undefined
  #held: { resolve: () => void; reject: (error: Error) => void }[] | undefined
  #last = -1
  #isMoving = true
  #closed: Error | undefined

  constructor(recorded: readonly Recorded[], listener: SequenceListener) {
    this.#listener = listener
    if (recorded.length > 0) this.#due = dueOf(recorded)
  }

  /** The handler was called: once it rests, results are given. */
  begin(): void {
    whenAtRest(this)
  }

  /** Name of what was recorded and comes next; undefined once all of it has been seen. */
  get nextRecorded(): string | undefined {
    return this.#due?.findLast(({ isLoose }) => !isLoose)?.name
  }

  /** The handler goes on with what it was given, or something is about to be given. */
  get isMoving(): boolean {
    return this.#isMoving
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
  recorded(name: string): Promise<number> {
    return this.#turn(0, name)
  }

  /** Resolves when it is the turn of a new result; with its place in the order. */
  fresh(index: number): Promise<number> {
    return this.#turn(index)
  }

  /** As fresh(), for what must know its place before it can be seen, as a transaction that records it. */
  async taken(index: number): Promise<Taken> {
    let done: () => void = () => undefined
    const until = new Promise<void>((resolve) => (done = resolve))
    return { order: await this.#turn(index, undefined, until), done }
  }

  /** Something that the handler sees at the moment of asking, such as ctx.now(). Returns its place in the order. */
  instant(name: string, index: number, recordedOrder: number | undefined): number {
    const order = recordedOrder ?? this.orderFor(index)
    this.#last = Math.max(this.#last, order)
    const at = this.#due?.findLastIndex((due) => due.name === name) ?? -1
    if (at >= 0) this.#due?.splice(at, 1)
    this.#release()
    return order
  }

  /** Resolves once all that was recorded has been seen: only then does anything new begin. Undefined when it has been. */
  live(): Promise<void> | undefined {
    if (this.#closed !== undefined) return Promise.reject(this.#closed)
    if (this.nextRecorded === undefined) return undefined
    return new Promise<void>((resolve, reject) => {
      (this.#held ??= []).push({ resolve, reject })
    })
  }

  /** Gives nothing any more; whoever waits for a turn gets this error. */
  close(error: Error): void {
    this.#closed ??= error
    for (const { reject } of [...(this.#asked?.values() ?? []), ...(this.#ready === undefined ? [] : [this.#ready]), ...(this.#others ?? []), ...(this.#held ?? [])]) reject(error)
    this.#asked = undefined
    this.#ready = undefined
    this.#others = undefined
    this.#held = undefined
  }

  /** @param recorded name of a recorded result; undefined for a new one */
  #turn(index: number, recorded?: string, until?: Promise<void>): Promise<number> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed)
    return new Promise<number>((resolve, reject) => {
      const turn: Turn = until === undefined ? { resolve, reject, index } : { resolve, reject, index, until }
      if (recorded !== undefined) (this.#asked ??= new Map<string, Turn>()).set(recorded, turn)
      else if (this.#ready === undefined) this.#ready = turn
      else (this.#others ??= []).push(turn)
      if (!this.#isMoving) this.atRest()
    })
  }

  /** The handler rests: gives the next result, if there is one, and comes back when the handler rests again. */
  atRest(): void {
    const turn = this.#next()
    this.#isMoving = turn !== undefined
    if (turn === undefined) this.#listener.onRest()
    else if (turn.until === undefined) whenAtRest(this)
    else {
      void turn.until.then(() => {
        whenAtRest(this)
      })
    }
  }

  #next(): Turn | undefined {
    for (let at = (this.#due?.length ?? 0) - 1; at >= 0; at--) {
      const due = this.#due?.[at]
      const asked = due === undefined ? undefined : this.#asked?.get(due.name)
      if (due !== undefined && asked !== undefined) {
        this.#asked?.delete(due.name)
        this.#due?.splice(at, 1)
        this.#last = Math.max(this.#last, due.order)
        asked.resolve(due.order)
        this.#release()
        return asked
      }
      if (due?.isLoose === false) return undefined
    }
    const ready = this.#ready
    if (ready !== undefined) {
      this.#ready = this.#others?.shift()
      this.#last = this.orderFor(ready.index)
      ready.resolve(this.#last)
    }
    return ready
  }

  #release(): void {
    if (this.#held === undefined || this.nextRecorded !== undefined) return
    for (const { resolve } of this.#held.splice(0)) resolve()
  }
}

/** The last first. What is seen at the moment of asking needs no turn; a map of children is seen when its last one is. */
function dueOf(recorded: readonly Recorded[]): Due[] {
  const due = new Map<string, Due>()
  for (const step of recorded) {
    if (step.waiting === true || isInstant(step)) continue
    const name = step.group ?? step.name
    const known = due.get(name)
    due.set(name, { name, order: Math.max(placeOf(step), known?.order ?? -1), isLoose: isLoose(step) || known?.isLoose === true })
  }
  return [...due.values()].sort((a, b) => b.order - a.order)
}

/** What ctx.now(), ctx.random() and ctx.uuid() ask for. */
export const INSTANTS = { now: 'a time', random: 'a random number', uuid: 'a uuid' } as const

function isInstant({ asked }: Recorded): boolean {
  return asked === INSTANTS.now || asked === INSTANTS.random || asked === INSTANTS.uuid
}

/** Whether what was recorded was asked for after something that happens again. */
export function isLoose({ order }: Recorded): boolean {
  return order !== undefined && order < 0
}

/** The place of what was recorded in the order in which results were seen. One that is loose is kept as -2 less its place. */
export function placeOf({ order, index }: Recorded): number {
  return order === undefined ? index : Math.max(order, -2 - order)
}
