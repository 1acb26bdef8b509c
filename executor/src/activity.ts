// What goes on in a run: the steps that are under way, and what the handler waits for. Says when nothing is under way any more,
// and when the handler only waits.
import type { Wait } from './protocol.js'

/** Of a wait: the run ends before it is over. */
const NEVER = new Promise<never>(() => undefined)

export class Activity {
  /** Steps that run, each until it is settled, and who waits for there to be none. */
  #open = 0
  #whenIdle: (() => void) | undefined
  #waits: Wait[] | undefined
  #suspend: ((waits: Wait[]) => void) | undefined

  /** No step is under way. */
  get isIdle(): boolean {
    return this.#open === 0
  }

  /** No step is under way, and the handler waits for nothing. */
  get isNone(): boolean {
    return this.#open === 0 && this.#waits === undefined
  }

  /** Remembers a step until it is settled. One that the handler forgets does not end the process when it fails. */
  follow<Result>(step: Promise<Result>): Promise<Result> {
    this.#open++
    const settled = () => {
      if (--this.#open > 0) return
      this.#whenIdle?.()
      if (this.#waits !== undefined) this.#suspendWhenQuiet()
    }
    step.then(settled, settled)
    return step
  }

  /** Resolves a moment after no step was under way any more; more may have started in it. Only while one is. */
  async idle(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve
    })
    await new Promise((resolve) => setImmediate(resolve))
  }

  /**
   * The handler stays here.
   * @param suspend is given all that the handler waits for, once nothing else of the run goes on; it may be called more than once
   */
  wait(waits: readonly Wait[], suspend: (waits: Wait[]) => void): Promise<never> {
    this.#waits = (this.#waits ?? []).concat(waits)
    this.#suspend = suspend
    if (this.#open === 0) this.#suspendWhenQuiet()
    return NEVER
  }

  /** Unless the handler goes on by itself in this turn and the next. */
  #suspendWhenQuiet(): void {
    setImmediate(() => {
      setImmediate(() => {
        if (this.#open === 0 && this.#waits !== undefined) this.#suspend?.(this.#waits)
      })
    })
  }
}
