// Whether a deep backlog drains as fast as a short one. A short one is over before a process has warmed up, so all sizes are
// measured on a worker that is running and warm: the organization is switched off while its backlog is filled and vacuumed;
// then another organization's work warms the worker; then the organization is switched on, and the clock runs from that
// commit to the end. Short backlogs go round several times, and the rate is that of all rounds together.
import { open, organization, switchOn } from '../systems/durable-execution-worker.ts'
import { Countdown, settle } from './measuring.ts'
import type { Measurement, SpecOf } from './spec.ts'

const FIRST_WARM_UP = 20_000
const WARM_UP = 1000
const MEASURED = organization(1)
const WARMING = organization(2)

export async function playBacklog(spec: SpecOf<'backlog'>, url: string): Promise<Measurement[]> {
  const session = await open(url, { steps: 1, count: spec.count }, { enabled: 2 })
  let countdown = new Countdown(0)
  try {
    await session.setEnabled(MEASURED, false)
    const worker = await session.work({ finished: () => countdown.finished() })
    const warm = async (count: number) => {
      countdown = new Countdown(count)
      await session.fillFor(WARMING, count)
      await countdown.reached
    }
    try {
      await warm(Math.min(FIRST_WARM_UP, spec.count * spec.rounds))
      let milliseconds = 0
      for (let round = 0; round < spec.rounds; round++) {
        if (spec.isFilled !== true) await session.fillFor(MEASURED, spec.count)
        await settle(url)
        await warm(Math.min(WARM_UP, spec.count))
        countdown = new Countdown(spec.count + 1)
        const start = await switchOn(session, url, MEASURED)
        milliseconds += (await countdown.end(session)) - start
        await session.setEnabled(MEASURED, false)
      }
      return [{ case: spec.title, value: ((spec.count + 1) * spec.rounds * 1000) / milliseconds, unit: 'executions/s' }]
    } finally {
      await worker.stop()
    }
  } finally {
    await session.close()
  }
}

/** Fills a database that is kept for other cases to start from. Nothing is measured. */
export async function playFill(spec: SpecOf<'fill'>, url: string): Promise<Measurement[]> {
  const session = await open(url, { steps: 1, count: spec.count })
  try {
    await session.fill(spec.count)
    await settle(url)
    return []
  } finally {
    await session.close()
  }
}
