// A backlog is drained by one worker, from its start to the moment at which everything is durably finished.
import { loadSystem } from '../systems/index.ts'
import type { Session, SystemName } from '../systems/system.ts'
import { Countdown, inDatabase, settle } from './measuring.ts'
import type { Measurement, SpecOf } from './spec.ts'

export async function playDrain(spec: SpecOf<'drain'>, url: string): Promise<Measurement[]> {
  const session = await openSession(spec, url)
  try {
    await session.fill(spec.count)
    await settle(url)
    const rate = spec.holdXmin === true ? await whileXminIsHeld(url, () => drained(session, spec.count)) : await drained(session, spec.count)
    return [{ case: spec.title, value: rate, unit: 'executions/s' }]
  } finally {
    await session.close()
  }
}

async function openSession(spec: SpecOf<'drain'>, url: string): Promise<Session> {
  const { steps, count, organizations, enabled, guideDefaults } = spec
  if (spec.system !== 'durable-execution-worker') return await installed(spec.system, url, steps, count)
  const { open } = await import('../systems/durable-execution-worker.ts')
  const session = await open(url, { steps, count }, {
    ...(organizations === undefined ? {} : { organizations }),
    ...(enabled === undefined ? {} : { enabled }),
    ...(guideDefaults === undefined ? {} : { guideDefaults }),
  })
  return session
}

export async function installed(
  name: SystemName,
  url: string,
  steps: number,
  count: number,
  purpose: 'throughput' | 'latency' = 'throughput',
): Promise<Session> {
  const { system } = await loadSystem(name)
  return await system.install(url, { steps, count, purpose })
}

/** Drains what is there; returns executions a second. */
export async function drained(session: Session, count: number): Promise<number> {
  const countdown = new Countdown(count)
  const start = performance.now()
  const worker = await session.work({ finished: countdown.finished })
  try {
    return count / ((await countdown.end(session)) - start) * 1000
  } finally {
    await worker.stop()
  }
}

/** Another session's transaction keeps every row version from being cleaned away, for as long as `measure` takes. */
async function whileXminIsHeld(url: string, measure: () => Promise<number>): Promise<number> {
  return await inDatabase(url, async (holder) => {
    await holder.query('begin isolation level repeatable read')
    await holder.query('select pg_current_xact_id()')
    const rate = await measure()
    await holder.query('commit')
    return rate
  })
}
