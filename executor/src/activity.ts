// What goes on in a run: the steps that are under way. Says when nothing is under way any more.

/** A step whose function runs. */
export interface Current {
  step: string
  /** By performance.now(). */
  startedAt: number
}

export class Activity {
  readonly #onIdle: () => void
  /** Work that is under way, each until it is settled, and who waits for there to be none. */
  #open = 0
  #whenIdle: (() => void) | undefined
  readonly #current = new Set<Current>()

  /** @param onIdle called each time when nothing is under way any more */
  constructor(onIdle: () => void) {
    this.#onIdle = onIdle
  }

  get isIdle(): boolean {
    return this.#open === 0
  }

  /** The step whose function has run longest, if any runs. */
  get current(): Current | undefined {
    for (const current of this.#current) return current
    return undefined
  }

  /** Remembers work until it is settled. */
  async follow<Result>(work: Promise<Result>): Promise<Result> {
    this.#open++
    try {
      return await work
    } finally {
      if (--this.#open === 0) {
        this.#whenIdle?.()
        this.#onIdle()
      }
    }
  }

  /** A step's function begins; returns what ends it. */
  enter(step: string): Current {
    const current = { step, startedAt: performance.now() }
    this.#current.add(current)
    return current
  }

  leave(current: Current): void {
    this.#current.delete(current)
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
