// What a worker costs that has nothing to do: statements that it sends, and processor time, its own and its backends'.
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { execFileSync } from 'node:child_process'
import type { Client } from 'pg'
import { installed } from './drain.ts'
import { inDatabase } from './measuring.ts'
import { loadSystem } from '../systems/index.ts'
import type { Measurement, SpecOf } from './spec.ts'

const SETTLE_MS = 3000

export async function playIdle(spec: SpecOf<'idle'>, url: string): Promise<Measurement[]> {
  const database = decodeURIComponent(new URL(url).pathname.slice(1))
  const elsewhere = new URL(url)
  elsewhere.pathname = 'postgres'
  return await inDatabase(elsewhere.href, async (observer) => {
    await observer.query(`alter database "${database}" set pg_stat_statements.track = 'top'`)
    const { system } = await loadSystem(spec.system)
    const session = await installed(spec.system, url, system.steps.includes(1) ? 1 : 0, 1, 'latency')
    try {
      const worker = await session.work({})
      try {
        await sleep(Math.min(SETTLE_MS, spec.seconds * 1000))
        return await observed(spec, observer, database)
      } finally {
        await worker.stop()
      }
    } finally {
      await session.close()
    }
  })
}

async function observed(spec: SpecOf<'idle'>, observer: Client, database: string): Promise<Measurement[]> {
  const before = await statements(observer, database)
  const backendsBefore = await backendSeconds(observer, database)
  const own = process.cpuUsage()
  const from = performance.now()
  await sleep(spec.seconds * 1000)
  const used = process.cpuUsage(own)
  const seconds = (performance.now() - from) / 1000
  const backendsAfter = await backendSeconds(observer, database)
  const queries = (await statements(observer, database)) - before
  const measurements: Measurement[] = [
    { case: `${spec.title}, queries`, value: (queries / seconds) * 60, unit: 'a minute' },
    { case: `${spec.title}, CPU of the worker`, value: ((used.user + used.system) / 1e6 / seconds) * 100, unit: '% of a core' },
  ]
  if (backendsBefore !== undefined && backendsAfter !== undefined) {
    const share = ((backendsAfter - backendsBefore) / seconds) * 100
    measurements.push({ case: `${spec.title}, CPU of its backends`, value: share, unit: '% of a core' })
  }
  return measurements
}

async function statements(observer: Client, database: string): Promise<number> {
  const { rows } = await observer.query<{ calls: number }>(
    `select coalesce(sum(calls), 0)::float8 as calls
     from pg_stat_statements s join pg_database d on d.oid = s.dbid where d.datname = $1`,
    [database],
  )
  return rows[0]?.calls ?? Number.NaN
}

/** Processor seconds of the backends of this database, where the system tells (Linux). A backend that ends takes its own along. */
async function backendSeconds(observer: Client, database: string): Promise<number | undefined> {
  if (process.platform !== 'linux') return undefined
  const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
  const { rows } = await observer.query<{ pid: number }>('select pid from pg_stat_activity where datname = $1', [database])
  const ticks = await Promise.all(
    rows.map(async ({ pid }) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
      // The fields after the name, which is in parentheses: utime and stime are the 12th and 13th of them.
      const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? []
      return Number(fields[11] ?? 0) + Number(fields[12] ?? 0)
    }),
  )
  return ticks.reduce((sum, each) => sum + each, 0) / ticksPerSecond
}
