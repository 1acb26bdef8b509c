// The same drain in several databases that differ in what lies beside the work, in one process and in turn, many times: a
// difference of a few percent would drown in the drift of the machine otherwise. In each database a warm worker runs; its
// organization is switched off while the next backlog is filled, and the clock runs from the commit that switches it on.
import { Countdown, settle } from './measuring.ts'
import { suspend } from './suspended.ts'
import type { Measurement, SpecOf } from './spec.ts'
import { open, organization, type OwnSession, switchOn } from '../systems/durable-execution-worker.ts'

const MEASURED = organization(1)
/** Rounds that nothing is taken from. */
const WARM_UP_ROUNDS = 1

interface Side {
  readonly title: string
  readonly url: string
  readonly session: OwnSession
  countdown: Countdown
  stop: () => Promise<void>
}

/** @param urls a database for each side */
export async function playSides(spec: SpecOf<'sides'>, urls: readonly string[]): Promise<Measurement[]> {
  const sides: Side[] = []
  try {
    for (const [place, side] of spec.sides.entries()) {
      const url = urls[place]
      if (url === undefined) throw new Error(`there is no database for '${side.title}'`)
      sides.push(await start(side, url, spec.count))
    }
    const measurements: Measurement[] = []
    for (let round = 0; round < WARM_UP_ROUNDS + spec.rounds; round++) {
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
        const rate = await drain(side, spec.count)
        if (round >= WARM_UP_ROUNDS) measurements.push({ case: side.title, value: rate, unit: 'executions/s' })
      }
    }
    return measurements
  } finally {
    for (const side of sides) {
      await side.stop()
      await side.session.close()
    }
  }
}

async function start({ title, sleeping, suspended }: SpecOf<'sides'>['sides'][number], url: string, count: number): Promise<Side> {
  const session = await open(url, { steps: 1, count })
  if (sleeping !== undefined) await session.sleep(sleeping)
  if (suspended !== undefined) await suspend(session, url, suspended)
  const side: Side = { title, url, session, countdown: new Countdown(0), stop: () => Promise.resolve() }
  const worker = await session.work({
    finished: () => {
      side.countdown.finished()
    },
  })
  side.stop = () => worker.stop()
  return side
}

async function drain(side: Side, count: number): Promise<number> {
  const { session, url } = side
  await session.setEnabled(MEASURED, false)
  await session.fillFor(MEASURED, count)
  await settle(url)
  side.countdown = new Countdown(count + 1)
  const start = await switchOn(session, url, MEASURED)
  return ((count + 1) * 1000) / ((await side.countdown.end(session)) - start)
}
