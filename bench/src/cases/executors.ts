// One or several executors, each in a process of its own, drain one backlog together; and the most memory that one took.
import { setTimeout as sleep } from 'node:timers/promises'
import { open } from '../systems/durable-execution-worker.ts'
import { Beside, hearFrom, starter } from './beside.ts'
import { Countdown, settle } from './measuring.ts'
import type { Measurement, SpecOf } from './spec.ts'

const TELL_EVERY_MS = 10
const MIB = 1024 * 1024

export async function playExecutors(spec: SpecOf<'executors'>, url: string): Promise<Measurement[]> {
  const { system, title, count, executors } = spec
  const session = await open(url, { steps: 1, count })
  const beside: Beside[] = []
  try {
    await session.fill(count)
    await settle(url)
    for (let each = 0; each < executors; each++) {
      beside.push(new Beside({ kind: 'beside: executor', system, title, count }, url))
    }
    await Promise.all(beside.map((each) => each.hear('ready')))
    const countdown = new Countdown(count)
    const told = beside.map(() => 0)
    for (const [place, each] of beside.entries()) {
      each.on((message) => {
        if (message.kind !== 'over') return
        countdown.add(message.count - (told[place] ?? 0))
        told[place] = message.count
      })
    }
    const start = performance.now()
    for (const each of beside) each.send({ kind: 'go' })
    const end = await Promise.race([countdown.end(session), ...beside.map((each) => each.untilItEnds)])
    const memories = beside.map((each) => each.hear('memory'))
    for (const each of beside) each.send({ kind: 'stop' })
    const peaks = (await Promise.all(memories)).map(({ peakBytes }) => peakBytes)
    return [
      { case: title, value: (count / (end - start)) * 1000, unit: 'executions/s' },
      { case: `${title}, most memory of one (RSS)`, value: Math.max(...peaks) / MIB, unit: 'MiB' },
    ]
  } finally {
    await Promise.all(beside.map((each) => each.end()))
    await session.close()
  }
}

/** The process beside: one executor, which tells how far it is. */
export async function executeBeside(spec: SpecOf<'beside: executor'>, url: string): Promise<[]> {
  const peer = starter()
  const stop = hearFrom(peer, 'stop')
  const go = hearFrom(peer, 'go')
  const session = await open(url, { steps: 1, count: spec.count })
  peer.send({ kind: 'ready' })
  await go
  let over = 0
  let told = 0
  const timer = setInterval(() => {
    if (over > told) peer.send({ kind: 'over', count: (told = over) })
  }, TELL_EVERY_MS)
  const worker = await session.work({ finished: () => over++ })
  await stop
  clearInterval(timer)
  await worker.stop()
  await session.close()
  peer.send({ kind: 'memory', peakBytes: process.resourceUsage().maxRSS * 1024 })
  // Until the message has gone and the other process lets this one go.
  await sleep(1000)
  return []
}
