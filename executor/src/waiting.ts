// What a handler can wait for: a time, an event, a child, the children of a map. A wait that is over was recorded, and its result is given
// when it is its turn; one that is not is handed to the run, which ends when its handler only waits.
import type { z } from 'zod'
import { childInput, childOutput } from './child.js'
import type { InvokeOptions, MapOptions, MapWork, SleepOptions, StepScope, WaitOptions } from './context.js'
import { type Duration, LONGEST_WAIT, toMilliseconds } from './duration.js'
import { EventTimeoutError, PermanentError, UsageError } from './errors.js'
import { childAsked } from './history.js'
import { checkEventKey } from './keys.js'
import { checkMap, mapSteps, placeAt } from './map.js'
import type { Recorded, Wait } from './protocol.js'
import type { Asked } from './replay.js'
import { describeIssues } from './thrown.js'
import { isWorkflow, type Workflow } from './workflow.js'

/** A wait that is not over, and what was asked, in words. */
export interface Wanted {
  place: Asked
  asked: string
  wait: Omit<Wait, 'name' | 'index' | 'asked' | 'askedOrder'>
}

/** What it needs of the run. */
export interface WaitingSupport {
  ask(name: string): Asked
  askAll(name: string, count: number): { whole: Asked; items: Asked[] }
  recorded(place: Asked, asked: string | undefined): Recorded | undefined
  /** Resolves when it is the turn of what was recorded. */
  turnOf(recorded: Recorded): Promise<void>
  /** Never resolves: the run ends before these waits are over. */
  wait(wanted: readonly Wanted[]): Promise<never>
  /** The run does not end while this goes on. */
  follow<Result>(work: Promise<Result>): Promise<Result>
  /** A step of a map. */
  item<Result>(place: Asked, fn: (scope: StepScope) => Result | Promise<Result>): Promise<Result>
}

export class Waiting {
  readonly #run: WaitingSupport

  constructor(run: WaitingSupport) {
    this.#run = run
  }

  async sleep(duration: Duration, options: SleepOptions = {}): Promise<void> {
    const milliseconds = toMilliseconds(duration, 'the duration of a sleep', LONGEST_WAIT)
    await this.#wait(this.#run.ask(options.name ?? 'sleep'), `a sleep of ${milliseconds} ms`, { milliseconds }, () => undefined)
  }

  async sleepUntil(time: Date, options: SleepOptions = {}): Promise<void> {
    const milliseconds = time.getTime() - Date.now()
    if (Number.isNaN(milliseconds)) throw new UsageError('the time to sleep until is an invalid date')
    // Only to refuse what is absurd; when it is over is the database's to say.
    toMilliseconds(Math.max(0, milliseconds), 'the duration of a sleep', LONGEST_WAIT)
    await this.#wait(this.#run.ask(options.name ?? 'sleep'), `a sleep until ${time.toISOString()}`, { until: time }, () => undefined)
  }

  async waitForEvent<Schema extends z.ZodType = z.ZodUnknown>(key: string, options: WaitOptions<Schema> = {}): Promise<z.output<Schema>> {
    const { timeout, schema, name = `event ${key}` } = options
    checkEventKey(key)
    const limit = timeout === undefined ? {} : { milliseconds: toMilliseconds(timeout, `the timeout of event '${key}'`, LONGEST_WAIT) }
    const asked = `an event '${key}'${limit.milliseconds === undefined ? '' : ` with a timeout of ${limit.milliseconds} ms`}`
    return await this.#wait(this.#run.ask(name), asked, { key, ...limit }, async ({ output, timed_out: timedOut }) => {
      if (timedOut === true) throw new EventTimeoutError(key)
      if (schema === undefined) return output as z.output<Schema>
      const parsed = await schema.safeParseAsync(output)
      if (parsed.success) return parsed.data
      throw new PermanentError(`the payload of event '${key}' does not fit: ${describeIssues(parsed.error)}`, { category: 'VALIDATION' })
    })
  }

  async invoke<Input, Output>(workflow: Workflow<Input, Output>, input: Input, options: InvokeOptions = {}): Promise<Output> {
    const place = this.#run.ask(options.name ?? workflow.name)
    const text = await this.#run.follow(childInput(workflow, input))
    return await this.#wait(place, childAsked(workflow.name, text), { child: { workflow: workflow.name, input: text } }, (found) => childOutput(workflow, found))
  }

  async map<Item, Output>(items: readonly Item[], work: MapWork<Item, Output>, options: MapOptions = {}): Promise<Output[]> {
    const { concurrency = 10, name = 'map' } = options
    checkMap(items.length, concurrency)
    const { whole, items: places } = this.#run.askAll(name, items.length)
    if (!isWorkflow(work)) {
      this.#run.recorded(whole, undefined)
      return await mapSteps(items, concurrency, (item, index) => this.#run.item(placeAt(places, index), (scope) => work(item, index, scope)))
    }
    const group = whole.name
    const wanted: Wanted[] = []
    for (const [index, item] of items.entries()) {
      const input = await this.#run.follow(childInput(work, item))
      wanted.push({ place: placeAt(places, index), asked: childAsked(work.name, input), wait: { child: { workflow: work.name, input, group, limit: concurrency } } })
    }
    this.#run.recorded(whole, undefined)
    const found = wanted.map(({ place, asked }) => this.#run.recorded(place, asked))
    const [last] = found.slice(-1)
    if (found.includes(undefined)) return await this.#run.wait(wanted)
    if (last !== undefined) await this.#run.turnOf(last)
    return found.flatMap((each) => (each === undefined ? [] : [childOutput(work, each)]))
  }

  /** What was recorded, made ready before its turn; or the run stays here. */
  async #wait<Result>(place: Asked, asked: string, wait: Wanted['wait'], take: (found: Recorded) => Result | Promise<Result>): Promise<Result> {
    const found = this.#run.recorded(place, asked)
    if (found === undefined) return await this.#run.wait([{ place, asked, wait }])
    const ready = await this.#run.follow(settled(take, found))
    await this.#run.turnOf(found)
    return ready()
  }
}

/** How this ends, to be heard later. */
async function settled<Result>(take: (found: Recorded) => Result | Promise<Result>, found: Recorded): Promise<() => Result> {
  try {
    const result = await take(found)
    return () => result
  } catch (error) {
    return () => {
      throw error
    }
  }
}
