// What goes on in a run: the steps that are under way. Says when nothing is under way any more.

/** A step whose function runs. */
export interface Current {
  readonly step: string
  /** By performance.now(). */
  readonly startedAt: number
}

/** Who hears that nothing is under way any more. */
export interface ActivityListener {
  onIdle(): void
}

export class Activity {
  readonly #listener: ActivityListener
  /** Work that is under way, each until it is settled, and who waits for there to be none. */
  #open = 0
  #whenIdle: (() => void) | undefined
  /** Steps whose functions run, in the order of their starts: mostly one. */
  #first: Current | undefined
  #others: Set<Current> | undefined

  constructor(listener: ActivityListener) {
    this.#listener = listener
  }

  get isIdle(): boolean {
    return this.#open === 0
  }

  /** The step whose function has run longest, if any runs. */
  get current(): Current | undefined {
    if (this.#first !== undefined) return this.#first
    for (const current of this.#others ?? []) return current
    return undefined
  }

  /** Work begins, until end() is called. */
  begin(): void {
    this.#open++
  }

  end(): void {
    if (--this.#open > 0) return
    this.#whenIdle?.()
    this.#listener.onIdle()
  }

  /** Remembers work until it is settled. */
  async follow<Result>(work: Promise<Result>): Promise<Result> {
    this.begin()
    try {
      return await work
    } finally {
      this.end()
    }
  }

  /** A step's function begins. */
  enter(current: Current): void {
    if (this.#first === undefined && this.#others === undefined) this.#first = current
    else (this.#others ??= new Set()).add(current)
  }

  leave(current: Current): void {
    if (this.#first === current) this.#first = undefined
    else if (this.#others?.delete(current) === true && this.#others.size === 0) this.#others = undefined
  }

  /** Resolves a moment after nothing was under way any more; more may have started in it. */
  async idle(): Promise<void> {
    if (this.#open > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve
      })
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
}
