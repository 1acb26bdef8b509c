// What a handler can wait for: a time, an event, a child, the children of a map. A wait that is over was recorded, and its
// result is here; one that is not is handed to the run, which ends when its handler only waits.
import type { z } from 'zod'
import { childInput, childOutput } from './child.js'
import type { MapOptions, MapWork, StepScope, WaitOptions } from './context.js'
import { type Duration, LONGEST_WAIT, toMilliseconds } from './duration.js'
import { EventTimeoutError, PermanentError, UsageError } from './errors.js'
import type { Place } from './history.js'
import { checkMap, mapSteps, placeAt } from './map.js'
import type { Recorded, Wait } from './protocol.js'
import { describeIssues } from './thrown.js'
import { isWorkflow, type Workflow } from './workflow.js'

/** What it needs of the run. */
export interface WaitingSupport {
  place(name: string): Place
  places(name: string, count: number): { whole: Place; places: Place[] }
  recorded(place: Place): Recorded | undefined
  /** Never resolves: the run ends before these waits are over. */
  wait(waits: readonly Wait[]): Promise<never>
  /** The run does not end while this goes on. */
  follow<Result>(work: Promise<Result>): Promise<Result>
  step<Result>(place: Place, fn: (scope: StepScope) => Result | Promise<Result>): Promise<Result>
}

const LONGEST_KEY = 200

export class Waiting {
  readonly #run: WaitingSupport

  constructor(run: WaitingSupport) {
    this.#run = run
  }

  async sleep(duration: Duration): Promise<void> {
    const milliseconds = toMilliseconds(duration, 'the duration of a sleep', LONGEST_WAIT)
    await this.#wait('sleep', { milliseconds })
  }

  async sleepUntil(time: Date): Promise<void> {
    const milliseconds = time.getTime() - Date.now()
    if (Number.isNaN(milliseconds)) throw new UsageError('the time to sleep until is an invalid date')
    // Only to refuse what is absurd; when it is over is the database's to say.
    toMilliseconds(Math.max(0, milliseconds), 'the duration of a sleep', LONGEST_WAIT)
    await this.#wait('sleep', { until: time })
  }

  async waitForEvent<Schema extends z.ZodType = z.ZodUnknown>(key: string, options: WaitOptions<Schema> = {}): Promise<z.output<Schema>> {
    const { timeout, schema } = options
    if (key.length < 1 || key.length > LONGEST_KEY) throw new UsageError(`the key of an event has 1 to ${LONGEST_KEY} characters, not ${key.length}`)
    if (key.includes('\0') || !key.isWellFormed()) throw new UsageError('the key of an event cannot have the character U+0000 or half of a surrogate pair')
    const limit = timeout === undefined ? {} : { milliseconds: toMilliseconds(timeout, `the timeout of event '${key}'`, LONGEST_WAIT) }
    const { output, timed_out: timedOut } = await this.#wait(`event ${key}`, { key, ...limit })
    if (timedOut === true) throw new EventTimeoutError(key)
    if (schema === undefined) return output as z.output<Schema>
    const parsed = await schema.safeParseAsync(output)
    if (parsed.success) return parsed.data
    throw new PermanentError(`the payload of event '${key}' does not fit: ${describeIssues(parsed.error)}`, { category: 'VALIDATION' })
  }

  async invoke<Input, Output>(workflow: Workflow<Input, Output>, input: Input): Promise<Output> {
    const place = this.#run.place(workflow.name)
    const recorded = this.#run.recorded(place)
    if (recorded !== undefined) return childOutput(workflow, recorded)
    const text = await this.#run.follow(childInput(workflow, input))
    return await this.#run.wait([{ ...place, child: { workflow: workflow.name, input: text } }])
  }

  async map<Item, Output>(items: readonly Item[], work: MapWork<Item, Output>, options: MapOptions = {}): Promise<Output[]> {
    const { concurrency = 10, name = 'map' } = options
    checkMap(items.length, concurrency)
    const { whole, places } = this.#run.places(name, items.length)
    if (!isWorkflow(work)) {
      return await mapSteps(items, concurrency, (item, index) => this.#run.step(placeAt(places, index), (scope) => work(item, index, scope)))
    }
    const recorded = places.map((place) => this.#run.recorded(place))
    const waits: Wait[] = []
    for (const [index, item] of items.entries()) {
      if (recorded[index] !== undefined) continue
      const input = await this.#run.follow(childInput(work, item))
      waits.push({ ...placeAt(places, index), child: { workflow: work.name, input, group: whole.name, limit: concurrency } })
    }
    if (waits.length > 0) return await this.#run.wait(waits)
    return recorded.flatMap((found) => (found === undefined ? [] : [childOutput(work, found)]))
  }

  async #wait(name: string, wait: Omit<Wait, 'name' | 'index'>): Promise<Recorded> {
    const place = this.#run.place(name)
    return this.#run.recorded(place) ?? (await this.#run.wait([{ ...place, ...wait }]))
  }
}
