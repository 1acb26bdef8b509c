// From just before the enqueue call to the start of the first step's body, in one process: idle, and while a steady stream
// comes in at random intervals, whatever became of the earlier ones.
import { setTimeout as sleep } from 'node:timers/promises'
import { loadSystem } from '../systems/index.ts'
import type { Session } from '../systems/system.ts'
import { quantile } from './measuring.ts'
import type { Measurement, SpecOf } from './spec.ts'

const PAUSE_MS = { least: 10, spread: 10 }
const CAPACITY_AT_ONCE = 10
const CAPACITY_MS = 2000
const WARM_UP_MS = 1000
const LAST_START_MS = 10_000
const TOO_MANY = 5000

export async function playLatencyIdle(spec: SpecOf<'latency-idle'>, url: string): Promise<Measurement[]> {
  return await withWorker(spec, url, spec.samples + spec.warmUp, async (stopwatch) => {
    const times: number[] = []
    for (let sample = 0; sample < spec.warmUp + spec.samples; sample++) {
      const time = await stopwatch.once()
      if (sample >= spec.warmUp) times.push(time)
      await sleep(PAUSE_MS.least + Math.random() * PAUSE_MS.spread)
    }
    return percentiles(spec.title, times)
  })
}

export async function playLatencyAtLoad(spec: SpecOf<'latency-load'>, url: string): Promise<Measurement[]> {
  return await withWorker(spec, url, 100_000, async (stopwatch) => {
    const half = spec.rate === 'half' ? (await capacity(stopwatch, Math.min(CAPACITY_MS, spec.seconds * 1000))) / 2 : undefined
    const rate = half ?? Number(spec.rate)
    await stream(stopwatch, rate, Math.min(WARM_UP_MS, spec.seconds * 1000))
    const times = await stream(stopwatch, rate, spec.seconds * 1000)
    return [
      ...(half === undefined ? [] : [{ case: `${spec.title}, the load`, value: half, unit: 'executions/s' }]),
      ...percentiles(spec.title, times),
    ]
  })
}

function percentiles(title: string, times: readonly number[]): Measurement[] {
  return [
    { case: `${title}, p50`, value: quantile(times, 0.5), unit: 'ms' },
    { case: `${title}, p99`, value: quantile(times, 0.99), unit: 'ms' },
  ]
}

async function withWorker(
  spec: SpecOf<'latency-idle' | 'latency-load'>,
  url: string,
  count: number,
  measure: (stopwatch: Stopwatch) => Promise<Measurement[]>,
): Promise<Measurement[]> {
  const { system } = await loadSystem(spec.system)
  const steps = system.steps.includes(1) ? 1 : 0
  const session = await system.install(url, { steps, count, purpose: 'latency' })
  try {
    const stopwatch = new Stopwatch(session)
    const worker = await session.work({ started: stopwatch.started })
    try {
      return await measure(stopwatch)
    } finally {
      await worker.stop()
    }
  } finally {
    await session.close()
  }
}

/** Takes the time of each execution from its enqueue to its first start. */
class Stopwatch {
  readonly #session: Session
  readonly #waiting = new Map<number, (at: number) => void>()
  #marker = 0

  constructor(session: Session) {
    this.#session = session
  }

  get waiting(): number {
    return this.#waiting.size
  }

  readonly started = (marker: number): void => {
    this.#waiting.get(marker)?.(performance.now())
    this.#waiting.delete(marker)
  }

  /** Enqueues one and returns the milliseconds to its start. */
  async once(): Promise<number> {
    const marker = this.#marker++
    const { promise, resolve } = Promise.withResolvers<number>()
    this.#waiting.set(marker, resolve)
    const from = performance.now()
    const [start] = await Promise.all([promise, this.#session.enqueue(marker)])
    return start - from
  }
}

/** What one client sustains that enqueues one by one, some at once, each after the start of the one before it. */
async function capacity(stopwatch: Stopwatch, milliseconds: number): Promise<number> {
  let count = 0
  const from = performance.now()
  const lane = async () => {
    while (performance.now() - from < milliseconds) {
      await stopwatch.once()
      count++
    }
  }
  await Promise.all(Array.from({ length: CAPACITY_AT_ONCE }, lane))
  return (count / (performance.now() - from)) * 1000
}

/** Arrivals at exponentially distributed intervals; none waits for another. */
async function stream(stopwatch: Stopwatch, rate: number, milliseconds: number): Promise<number[]> {
  const times: number[] = []
  const failures: unknown[] = []
  const from = performance.now()
  let due = from
  while (due - from < milliseconds) {
    const now = performance.now()
    if (due > now) await sleep(Math.max(1, Math.floor(due - now)))
    for (; due <= performance.now(); due += (-Math.log(1 - Math.random()) * 1000) / rate) {
      void stopwatch.once().then(
        (time) => {
          times.push(time)
        },
        (error: unknown) => {
          failures.push(error)
        },
      )
    }
    if (failures.length > 0) throw failures[0]
    if (stopwatch.waiting > TOO_MANY) throw new Error(`cannot keep up with ${rate.toFixed(0)} executions a second`)
  }
  const end = performance.now() + LAST_START_MS
  while (stopwatch.waiting > 0) {
    await sleep(5)
    if (performance.now() > end) throw new Error(`${stopwatch.waiting} executions had not started after ${LAST_START_MS / 1000} s`)
  }
  if (failures.length > 0) throw failures[0]
  return times
}
