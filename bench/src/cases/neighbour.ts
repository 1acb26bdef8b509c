// What an organization's work takes to start, to finish and to wake, alone and while another organization on the same executor does its
// worst, one way after the other. The executor is as it is by default, and so are the settings of both organizations. The other's session
// is in a process of its own; what its executions bring comes to the executor here.
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, Executor, migrate, workflow } from 'durable-execution-worker'
import pg from 'pg'
import { z } from 'zod'
import { organization } from '../systems/durable-execution-worker.ts'
import { Beside, starter } from './beside.ts'
import { inDatabase, median, quantile, settle } from './measuring.ts'
import type { Measurement, SpecOf } from './spec.ts'
import { type Way, ways } from './worst-ways.ts'
import { worstWorkflows } from './worst-workflows.ts'

const QUIET = organization(1)
const WORST = organization(2)
const WORST_SESSION = 'worst'
const PAUSE_MS = { least: 5, spread: 15 }
const LOOK_MS = 1
const LONGEST_MS = 60_000
const WARM_UP_SECONDS = 1
/** Finished before anything is measured. */
const BEFORE = 3000
/** Every so many of the quiet organization's executions sleeps a little before its end. */
const SLEEPER = 4
const NAP_MS = 20

/** Milliseconds, a value for each execution. */
interface Times {
  start: number[]
  finish: number[]
  /** From when the sleep was over. */
  wake: number[]
}

export async function playNeighbour(spec: SpecOf<'neighbour'>, url: string): Promise<Measurement[]> {
  await migrate({ connectionString: url })
  await inDatabase(url, (client) => client.query('select fw_save_worker_settings(id, true) from unnest($1::uuid[]) id', [[QUIET, WORST]]))
  const quiet = new Quiet(url)
  try {
    await quiet.start()
    // Plans that were made for empty tables are no longer those of a database that is in use.
    await quiet.ran(Math.ceil(BEFORE * spec.share))
    await settle(url)
    await quiet.measured(WARM_UP_SECONDS)
    const found = ways.map((way) => ({ way, alone: [] as Times[], worst: [] as Times[] }))
    for (let round = 0; round < spec.rounds; round++) {
      for (const { way, alone, worst } of round % 2 === 0 ? found : found.toReversed()) {
        alone.push(await quiet.measured(spec.seconds))
        worst.push(await beside(spec, url, way, () => quiet.measured(spec.seconds)))
        await forget(url, quiet)
      }
    }
    return found.flatMap(({ way, alone, worst }) => measurements(`${spec.title}: ${way.title}`, alone, worst))
  } finally {
    await quiet.stop()
  }
}

function measurements(title: string, alone: readonly Times[], worst: readonly Times[]): Measurement[] {
  const kinds = ['start', 'finish', 'wake'] as const
  return kinds.flatMap((kind) => {
    const all = (times: readonly Times[]) => times.flatMap((each) => each[kind])
    const ratios = worst.map((each, round) => median(each[kind]) / median(alone[round]?.[kind] ?? []))
    return [
      { case: `${title}, latency to ${kind}, ratio`, value: median(ratios), unit: '×' },
      { case: `${title}, latency to ${kind}, alone, p50`, value: median(all(alone)), unit: 'ms' },
      { case: `${title}, latency to ${kind}, p50`, value: median(all(worst)), unit: 'ms' },
      { case: `${title}, latency to ${kind}, alone, p95`, value: quantile(all(alone), 0.95), unit: 'ms' },
      { case: `${title}, latency to ${kind}, p95`, value: quantile(all(worst), 0.95), unit: 'ms' },
    ].filter(({ value }) => !Number.isNaN(value))
  })
}

/** Measures while the other does its worst, from the moment that all is prepared. */
async function beside<T>(spec: SpecOf<'neighbour'>, url: string, way: Way, measure: () => Promise<T>): Promise<T> {
  const worst = new Beside({ kind: 'beside: worst', system: spec.system, title: spec.title, way: way.title, share: spec.share }, url)
  try {
    await worst.hear('ready')
    worst.send({ kind: 'go' })
    return await Promise.race([worst.untilItEnds, measure()])
  } finally {
    await worst.end()
  }
}

/** The process of the other organization's session: does it over and over until it is ended. */
export async function doWorst(spec: SpecOf<'beside: worst'>, url: string): Promise<[]> {
  const peer = starter()
  const way = ways.find(({ title }) => title === spec.way)
  if (way === undefined) throw new Error(`there is no way called '${spec.way}'`)
  const going = new Promise<void>((resolve) => {
    peer.on(({ kind }) => {
      if (kind === 'go') resolve()
    })
  })
  const named = new URL(url)
  named.searchParams.set('application_name', WORST_SESSION)
  await inDatabase(named.href, async (client) => {
    const bad = { client, organizationId: WORST, stranger: QUIET, share: spec.share }
    await way.prepare?.(bad)
    peer.send({ kind: 'ready' })
    await going
    for (let round = 0; ; round++) {
      await way.again(bad, round)
      await sleep(way.pauseMs ?? 0)
    }
  })
  return []
}

/** Takes away all that was left, once none of it runs any more. */
async function forget(url: string, quiet: Quiet): Promise<void> {
  await inDatabase(url, async (client) => {
    await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = $1', [WORST_SESSION])
    await client.query('delete from fw_module_settings where organization_id <> all ($1)', [[QUIET, WORST]])
    await client.query('select fw_save_worker_settings($1, false)', [WORST])
    await client.query(`select count(fw_cancel_execution(e.id)) from fw_workflow_executions e where e.status = 'running'`)
    await quiet.untilIdle()
    for (const table of ['fw_worker_runs', 'fw_events', 'fw_notices', 'fw_workflow_executions']) {
      await client.query(`delete from ${table} where organization_id is distinct from $1`, [QUIET])
    }
    await client.query('truncate fw_unmatched_keys, pgmq.q_workflow_execution_queue, pgmq.a_workflow_execution_queue, pgmq.q_workflow_dlq')
    await client.query('select fw_save_worker_settings(id, true) from unnest($1::uuid[]) id', [[QUIET, WORST]])
  })
  await settle(url)
}

/** The organization that is measured, with the executor of both. */
class Quiet {
  readonly #client: Client
  readonly #executor: Executor
  readonly #looker: pg.Client
  readonly #started = new Map<number, { started: (at: number) => void; woke: (at: number) => void }>()
  readonly #workflow
  #marker = 0

  constructor(url: string) {
    this.#client = new Client({ connectionString: url })
    this.#looker = new pg.Client({ connectionString: url })
    this.#workflow = workflow({ name: 'quiet', input: z.object({ marker: z.number(), naps: z.boolean() }) }, async (ctx, { marker, naps }) => {
      await ctx.step('work', () => {
        this.#started.get(marker)?.started(performance.now())
        return marker
      })
      if (!naps) return
      await ctx.sleep(NAP_MS)
      await ctx.step('awake', () => this.#started.get(marker)?.woke(performance.now()))
    })
    this.#executor = new Executor({ connectionString: url, workflows: [this.#workflow, ...worstWorkflows], logger: SILENT })
  }

  async start(): Promise<void> {
    await this.#looker.connect()
    await this.#executor.start()
  }

  async stop(): Promise<void> {
    await this.#executor.stop({ timeout: 1000 })
    await this.#looker.end()
    await this.#client.close()
  }

  /** Runs one after the other, with random pauses. */
  async measured(seconds: number): Promise<Times> {
    const times: Times = { start: [], finish: [], wake: [] }
    const end = performance.now() + seconds * 1000
    for (let sample = 0; sample === 0 || performance.now() < end; sample++) {
      await this.#once(times, sample % SLEEPER === SLEEPER - 1)
      await sleep(PAUSE_MS.least + Math.random() * PAUSE_MS.spread)
    }
    return times
  }

  /** Runs so many at once. */
  async ran(count: number): Promise<void> {
    const before = this.#executor.stats.completed
    await this.#client.enqueueMany(this.#workflow, Array.from({ length: count }, () => ({ marker: -1, naps: false })), { organizationId: QUIET })
    while (this.#executor.stats.completed < before + count) await sleep(5)
  }

  async untilIdle(): Promise<void> {
    while (this.#executor.stats.inFlight > 0) await sleep(5)
  }

  async #once(times: Times, naps: boolean): Promise<void> {
    const marker = this.#marker++
    const started = Promise.withResolvers<number>()
    const woke = Promise.withResolvers<number>()
    this.#started.set(marker, { started: started.resolve, woke: woke.resolve })
    const late = setTimeout(() => {
      const error = new Error(`an execution had not finished after ${LONGEST_MS / 1000} s`)
      started.reject(error)
      woke.reject(error)
    }, LONGEST_MS)
    try {
      const from = performance.now()
      const [startedAt, id] = await Promise.all([started.promise, this.#client.enqueue(this.#workflow, { marker, naps }, { organizationId: QUIET })])
      times.start.push(startedAt - from)
      const finishedAt = await this.#untilFinished(id)
      if (naps) times.wake.push((await woke.promise) - startedAt - NAP_MS)
      else times.finish.push(finishedAt - from)
    } finally {
      clearTimeout(late)
      this.#started.delete(marker)
    }
  }

  async #untilFinished(id: string): Promise<number> {
    for (const end = performance.now() + LONGEST_MS; ; ) {
      const { rows } = await this.#looker.query<{ status: string }>({ name: 'look', text: 'select status from fw_workflow_executions where id = $1', values: [id] })
      if (rows[0]?.status === 'completed') return performance.now()
      if (performance.now() > end) throw new Error(`an execution is ${rows[0]?.status ?? 'gone'} after ${LONGEST_MS / 1000} s`)
      await sleep(LOOK_MS)
    }
  }
}

/** What goes wrong beside is what was asked for. */
const nothing = () => undefined
const SILENT = { debug: nothing, info: nothing, warn: nothing, error: nothing }
