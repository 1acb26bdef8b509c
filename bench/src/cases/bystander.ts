// What an application's own small query takes while a worker drains beside it: an indexed range of ten rows joined to
// another table, every few milliseconds, from a process of its own; first alone, then during the drain.
import { setTimeout as sleep } from 'node:timers/promises'
import { Beside, starter } from './beside.ts'
import { drained, installed } from './drain.ts'
import { inDatabase, quantile, settle } from './measuring.ts'
import type { Measurement, SpecOf } from './spec.ts'
import { loadSystem } from '../systems/index.ts'

const ROWS = 100_000
const PAUSE_MS = 3
const WARM_UP = 100

const TABLES = `
  create table regions (id int primary key, name text not null);
  insert into regions select i, 'region ' || i from generate_series(0, 999) i;
  create table customers (id int primary key, region int not null references regions, name text not null);
  insert into customers select i, i % 1000, 'customer ' || i from generate_series(1, ${ROWS}) i;`

const QUERY = `select c.id, c.name, r.name as region from customers c join regions r on r.id = c.region
  where c.id between $1 and $1 + 9`

export async function playBystander(spec: SpecOf<'bystander'>, url: string): Promise<Measurement[]> {
  const { system } = await loadSystem(spec.system)
  const session = await installed(spec.system, url, system.steps.includes(1) ? 1 : 0, spec.count)
  try {
    await inDatabase(url, (client) => client.query(TABLES))
    await session.fill(spec.count)
    await settle(url)
    const alone = await probed(spec, url, () => sleep(spec.secondsAlone * 1000))
    const beside = await probed(spec, url, () => drained(session, spec.count))
    return [
      { case: `${spec.title}, alone, p50`, value: quantile(alone, 0.5), unit: 'ms' },
      { case: `${spec.title}, alone, p99`, value: quantile(alone, 0.99), unit: 'ms' },
      { case: `${spec.title}, beside a drain, p50`, value: quantile(beside, 0.5), unit: 'ms' },
      { case: `${spec.title}, beside a drain, p99`, value: quantile(beside, 0.99), unit: 'ms' },
    ]
  } finally {
    await session.close()
  }
}

/** The times of the query, from a process that has warmed up before `meanwhile` starts. */
async function probed(spec: SpecOf<'bystander'>, url: string, meanwhile: () => Promise<unknown>): Promise<number[]> {
  const beside = new Beside({ kind: 'beside: probe', system: spec.system, title: spec.title }, url)
  try {
    await beside.hear('ready')
    beside.send({ kind: 'go' })
    await meanwhile()
    const times = beside.hear('times')
    beside.send({ kind: 'stop' })
    return (await times).milliseconds
  } finally {
    await beside.end()
  }
}

/** The process beside: queries until it is told to stop. */
export async function probe(url: string): Promise<[]> {
  const peer = starter()
  let state: 'waiting' | 'measuring' | 'stopped' = 'waiting'
  peer.on(({ kind }) => {
    if (kind === 'go') state = 'measuring'
    if (kind === 'stop') state = 'stopped'
  })
  const stopped = () => state === 'stopped'
  await inDatabase(url, async (client) => {
    let milliseconds: number[] = []
    const query = async () => {
      const from = performance.now()
      await client.query({ name: 'probe', text: QUERY, values: [1 + Math.floor(Math.random() * (ROWS - 10))] })
      milliseconds.push(performance.now() - from)
      await sleep(PAUSE_MS)
    }
    for (let each = 0; each < WARM_UP; each++) await query()
    peer.send({ kind: 'ready' })
    while (state === 'waiting') await sleep(1)
    milliseconds = []
    while (!stopped()) await query()
    peer.send({ kind: 'times', milliseconds })
  })
  return []
}
