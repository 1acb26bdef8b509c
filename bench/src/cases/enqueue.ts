// Handing work over, with no worker running: one by one, several at once, inside a transaction of the caller's, in batches.
import type { Client } from 'pg'
import { installed } from './drain.ts'
import { inDatabase, quantile, settle } from './measuring.ts'
import type { Measurement, SpecOf } from './spec.ts'

const AT_ONCE = 10
/** This part of the count is enqueued before the clock starts: connections, prepared statements, warm code. */
const WARM_UP = 0.1

export async function playEnqueueOne(spec: SpecOf<'enqueue-one'>, url: string): Promise<Measurement[]> {
  const { title, count } = spec
  const session = await installed(spec.system, url, 1, count * 3)
  try {
    await settle(url)
    let marker = 0
    const sequential = await timed(count, 1, () => session.enqueue(marker++))
    const atOnce = await timed(count * 2, AT_ONCE, () => session.enqueue(marker++))
    const measurements: Measurement[] = [
      { case: `${title}, one by one`, value: sequential.rate, unit: 'executions/s' },
      { case: `${title}, one by one, p50`, value: quantile(sequential.times, 0.5), unit: 'ms' },
      { case: `${title}, ${AT_ONCE} at once`, value: atOnce.rate, unit: 'executions/s' },
    ]
    const { enqueueWithin } = session
    if (enqueueWithin !== undefined) {
      const inside = await inDatabase(url, async (client) => {
        await client.query('create table orders (id int primary key, note text)')
        return await timed(count, 1, () => inTransaction(client, marker++, (id) => enqueueWithin(client, id)))
      })
      measurements.push(
        { case: `${title}, inside a user's transaction`, value: inside.rate, unit: 'transactions/s' },
        { case: `${title}, inside a user's transaction, p50`, value: quantile(inside.times, 0.5), unit: 'ms' },
      )
    }
    return measurements
  } finally {
    await session.close()
  }
}

export async function playEnqueueBatches(spec: SpecOf<'enqueue-batches'>, url: string): Promise<Measurement[]> {
  const session = await installed(spec.system, url, 1, spec.count)
  try {
    await session.fill(spec.batch * 2, spec.batch)
    await settle(url)
    const start = performance.now()
    await session.fill(spec.count, spec.batch)
    return [{ case: spec.title, value: (spec.count / (performance.now() - start)) * 1000, unit: 'executions/s' }]
  } finally {
    await session.close()
  }
}

async function inTransaction(client: Client, id: number, enqueue: (id: number) => Promise<void>): Promise<void> {
  await client.query('begin')
  await client.query(`insert into orders (id, note) values ($1, 'an order')`, [id])
  await enqueue(id)
  await client.query('commit')
}

async function timed(count: number, atOnce: number, one: () => Promise<void>): Promise<{ rate: number; times: number[] }> {
  await repeated(Math.ceil(count * WARM_UP), atOnce, one)
  const times: number[] = []
  const start = performance.now()
  await repeated(count, atOnce, async () => {
    const from = performance.now()
    await one()
    times.push(performance.now() - from)
  })
  return { rate: (count / (performance.now() - start)) * 1000, times }
}

/** Runs `one` as often as asked, a number of them at once. */
async function repeated(count: number, atOnce: number, one: () => Promise<void>): Promise<void> {
  let left = count
  const lane = async () => {
    while (left-- > 0) await one()
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
}
