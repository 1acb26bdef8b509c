// Looks for work that nobody announces: a moment after a claim that found too little, and when something is due.

/**
 * After the first claim that found too little, another look this much later: an enqueue beside it did not know yet that
 * somebody waits for its NOTIFY. So it is after each that found some work that no NOTIFY had announced.
 */
const RECHECK_MS = 100
const LATER_IS_LEFT_TO_POLLS_MS = 60_000
const LOOKS_APART_MS = 10

export class Looks {
  readonly #look: () => void
  readonly #timers = new Set<NodeJS.Timeout>()
  /** Times, by performance.now(), at which there is one. */
  readonly #due = new Set<number>()
  #isRechecking = false

  constructor(look: () => void) {
    this.#look = look
  }

  recheck(): void {
    if (this.#isRechecking) return
    this.#isRechecking = true
    this.#after(RECHECK_MS, () => {
      this.#isRechecking = false
    })
  }

  /** One look for all that is due at about the same time. */
  later(milliseconds: number): void {
    if (milliseconds >= LATER_IS_LEFT_TO_POLLS_MS) return
    const time = Math.ceil((performance.now() + milliseconds) / LOOKS_APART_MS) * LOOKS_APART_MS
    if (this.#due.has(time)) return
    this.#due.add(time)
    this.#after(time - performance.now(), () => {
      this.#due.delete(time)
    })
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer)
  }

  #after(milliseconds: number, then: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      then()
      this.#look()
    }, milliseconds)
    this.#timers.add(timer)
  }
}
