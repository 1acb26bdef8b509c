// What an execution has recorded, and the names that its steps get in this run. A run must ask for the same names as the
// runs before it did, or their results would go to the wrong steps.
import { ChangedWorkflowError, UsageError } from './errors.js'
import type { Recorded } from './protocol.js'

/** A step's name, numbered when it was used before, and its place in the order of steps. */
export interface Place {
  name: string
  index: number
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

export class History {
  readonly #workflow: string
  /** Undefined when nothing was recorded. */
  readonly #recorded: Map<string, Recorded> | undefined
  /** Names by place, where something was recorded. */
  readonly #places: Map<number, string> | undefined
  readonly #names = new Set<string>()
  /** How often a name was used, where more than once. */
  #uses: Map<string, number> | undefined
  /** So far each step of this run was recorded, and one followed the other. What comes next must be what came next then. */
  #isReplay = true

  constructor(workflow: string, recorded: readonly Recorded[]) {
    this.#workflow = workflow
    if (recorded.length === 0) return
    this.#recorded = new Map(recorded.map((step) => [step.name, step]))
    this.#places = new Map(recorded.map(({ name, index }) => [index, name]))
  }

  /**
   * The place of the next step.
   * @param isAlone whether no other step is under way
   */
  place(name: string, isAlone: boolean): Place {
    if (!isAlone) this.#isReplay = false
    return this.#numbered(name)
  }

  /** The places of a map's items. Its name is used once more than they are. */
  places(name: string, count: number, isAlone: boolean): { whole: Place; places: Place[] } {
    const whole = this.place(name, isAlone)
    this.#isReplay = false
    return { whole, places: Array.from({ length: count }, (_, item) => this.#numbered(`${whole.name}[${item}]`)) }
  }

  #numbered(name: string): Place {
    let numbered = name
    let use = this.#uses?.get(name) ?? 1
    while (this.#names.has(numbered)) numbered = `${name}#${++use}`
    if (use > 1) (this.#uses ??= new Map()).set(name, use)
    const index = this.#names.size
    this.#names.add(numbered)
    return { name: numbered, index }
  }

  /**
   * What was recorded for this place, if anything.
   * @throws ChangedWorkflowError for a new step where another one was recorded
   */
  recorded({ name, index }: Place): Recorded | undefined {
    if (this.#recorded === undefined) return undefined
    const found = this.#recorded.get(name)
    if (found !== undefined) return found
    const other = this.#places?.get(index)
    if (this.#isReplay && other !== undefined) throw new ChangedWorkflowError(this.#workflow, other, name)
    // A step that failed then, or was not reached: the way may go another way from here.
    this.#isReplay = false
    return undefined
  }
}
