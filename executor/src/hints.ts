// What NOTIFY has said of new work: which organizations, at most so many, and when a claim may go for it.
import { Pace } from './pace.js'

/** A claim goes round all organizations anyway. */
const MOST_HINTS = 50

export class Hints {
  readonly #look: () => void
  readonly #organizations = new Set<string>()
  readonly #pace = new Pace()
  #isHeard = false
  /** A claim is on its way that was sent because something was heard. */
  #isAsking = false
  #timer: NodeJS.Timeout | undefined

  /** @param look may be called once for many hints */
  constructor(look: () => void) {
    this.#look = look
  }

  hear(organizationId?: string): void {
    if (organizationId !== undefined && this.#organizations.size < MOST_HINTS) this.#organizations.add(organizationId)
    this.#isHeard = true
    if (this.#timer !== undefined) return
    const { waitMs } = this.#pace
    if (waitMs === 0) this.#look()
    else {
      this.#timer = setTimeout(() => {
        this.#timer = undefined
        if (this.#isHeard) this.#look()
      }, waitMs)
    }
  }

  /** The organizations that the next claim looks at first. */
  take(): string[] {
    const organizations = [...this.#organizations]
    this.#organizations.clear()
    if (this.#isHeard) this.#isAsking = true
    this.#isHeard = false
    return organizations
  }

  /** A claim was answered. @param count of executions that it has brought */
  answered(count: number): void {
    if (count > 0 || this.#isAsking) this.#pace.answered(count > 0)
    this.#isAsking = false
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}
