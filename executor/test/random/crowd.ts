// Runs many random programs at once, on executors that are killed again and again, while leases run out and events come.
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { KILL_POINTS } from '../../src/kill-points.js'
import { type ExecutorDatabase, expireLease, kill, shortLeases } from '../support/executor.js'
import { runsOf } from './journal.js'
import type { Execution, Happened } from './oracle.js'
import type { Input } from './play.js'
import type { Program } from './program.js'
import { show } from './values.js'

const LEASE_SECONDS = 2
const PLACES = ['stop', 'stop', 'begin', 'end', 'ask', 'see', 'fail', 'step', 'step done', 'booked'].concat(
  ...KILL_POINTS.filter((point) => !/executor|jobs|job$|compensation|progress/.test(point)).map((point) => [`${point}:before`, `${point}:after`]))
/** A lease runs out each time that so many steps were recorded, and an execution is cancelled now and then at a look. */
const STEPS_PER_LOSS = 30
const CANCELS = 0.03
/** How many places executors live for: at least this, and up to so many more. */
const LIFE = [200, 4000] as const
const PROCESSES = 2
/** Nothing has changed for so long: it hangs. */
const HANGS_MS = 45_000

export class Crowd {
  readonly #database: ExecutorDatabase
  readonly #random: () => number
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'random-programs-'))
  #files: string[] = []
  #living: ChildProcess[] = []
  #isOver = false
  kills = 0
  runs = 0

  constructor(database: ExecutorDatabase, random: () => number) {
    this.#database = database
    this.#random = random
  }

  /** Runs the programs and returns what happened, with the id of the execution of each. */
  async play(programs: readonly Program[]): Promise<{ ids: string[]; happened: Happened }> {
    const database = this.#database
    const organizationId = await database.organization({ batchSize: 20, concurrency: 40 })
    await shortLeases(database, organizationId, LEASE_SECONDS)
    this.#files = []
    this.#isOver = false
    const keepers = Array.from({ length: PROCESSES }, () => this.#keep())
    const inputs = programs.map((program, at): Input => ({ tag: `program ${at}`, carry: String(at), returns: 'carry', program }))
    const ids: string[] = []
    for (const input of inputs) {
      ids.push(...(await database.query<{ id: string }>("select public.fw_enqueue('random', $1::jsonb, $2) as id", [JSON.stringify(input), organizationId])).map(({ id }) => id))
    }
    try {
      await this.#untilEnded(organizationId)
    } finally {
      this.#isOver = true
      await Promise.all(this.#living.map((child) => kill(child)))
      await Promise.all(keepers)
    }
    return { ids, happened: await this.#happened(organizationId) }
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** Keeps an executor alive, over all its deaths. */
  async #keep(): Promise<void> {
    while (!this.#isOver) {
      const file = path.join(this.#folder, `${this.#files.length}-${Math.floor(this.#random() * 1e9)}.jsonl`)
      this.#files.push(file)
      const life = LIFE[0] + this.#random() * LIFE[1]
      const child = this.#database.spawn('../random/process.ts', { JOURNAL: file, LIFE: String(Math.floor(life)), DEATH: PLACES[Math.floor(this.#random() * PLACES.length)] ?? '' })
      this.#living.push(child)
      await new Promise((resolve) => child.once('exit', resolve))
      this.#living = this.#living.filter((each) => each !== child)
      if (child.signalCode !== 'SIGKILL' && child.exitCode !== 0) throw new Error(`an executor ended by itself: ${child.exitCode}`)
      this.kills++
    }
  }

  /** Until no execution is live. Emits an event for each wait; now and then lets a lease run out, or cancels an execution. */
  async #untilEnded(organizationId: string): Promise<void> {
    const database = this.#database
    // By execution and key: the waits that were seen, and how many events were emitted. Of several waits the first one receives an event.
    const seen = new Map<string, Set<string>>()
    const emitted = new Map<string, number>()
    let serial = 0
    let steps = 0
    let changed = { at: performance.now(), what: '' }
    for (;;) {
      const waits = await database.query<{ id: string; node: string; key: string }>(
        `select execution_id as id, node_id as node, event_key as key from public.fw_execution_steps
         where organization_id = $1 and status = 'waiting' and event_key is not null`, [organizationId])
      for (const { id, node, key } of waits) {
        const waitsForKey = seen.get(`${id} ${key}`) ?? new Set()
        seen.set(`${id} ${key}`, waitsForKey.add(node))
        const events = emitted.get(`${id} ${key}`) ?? 0
        if (events >= waitsForKey.size || this.#random() < 0.5) continue
        emitted.set(`${id} ${key}`, events + 1)
        await database.client.emit(organizationId, key, { serial: ++serial, key })
      }
      const [recorded] = await database.query<{ steps: number }>(
        "select count(*)::int as steps from public.fw_execution_steps where organization_id = $1 and status <> 'waiting'", [organizationId])
      for (; steps + STEPS_PER_LOSS <= (recorded?.steps ?? 0); steps += STEPS_PER_LOSS) await this.#loseOne(organizationId)
      if (this.#random() < CANCELS) await this.#cancelOne(organizationId)
      const states = await database.query<{ status: string; count: string; runs: string }>(
        `select status::text, count(*), (select count(*) from public.fw_worker_runs)::text as runs from public.fw_workflow_executions
         where organization_id = $1 group by status order by status`, [organizationId])
      const live = states.filter(({ status }) => !['completed', 'failed', 'cancelled', 'timed_out'].includes(status))
      if (live.length === 0) return
      const what = JSON.stringify(states.map(({ status, count }) => [status, count]))
      if (what !== changed.what) changed = { at: performance.now(), what }
      else if (performance.now() - changed.at > HANGS_MS) return
      await sleep(40)
    }
  }

  /** Lets the lease of one batch run out while it is worked on. */
  async #loseOne(organizationId: string): Promise<void> {
    const [running] = await this.#database.query<{ id: string }>(
      "select id from public.fw_workflow_executions where organization_id = $1 and status = 'running' order by random() limit 1", [organizationId])
    // It may have ended meanwhile.
    if (running !== undefined) await expireLease(this.#database, running.id).catch(() => undefined)
  }

  async #cancelOne(organizationId: string): Promise<void> {
    const [live] = await this.#database.query<{ id: string }>(
      `select id from public.fw_workflow_executions
       where organization_id = $1 and workflow_name = 'random' and parent_id is null and status in ('queued', 'running', 'waiting', 'retry_pending')
       order by random() limit 1`, [organizationId])
    if (live !== undefined) await this.#database.client.cancel(live.id, 'by chance')
  }

  async #happened(organizationId: string): Promise<Happened> {
    const rows = await this.#database.query<{ id: string; status: string; output: unknown; nothing: boolean; error: string | null }>(
      `select id, status::text, output, output is null as nothing, last_error as error from public.fw_workflow_executions where organization_id = $1`, [organizationId])
    const booked = await this.#database.query<{ id: string; at: string; argument: string }>('select execution_id as id, at, argument from booked')
    await this.#database.query('truncate booked')
    const books = new Map<string, Map<string, string[]>>()
    for (const { id, at, argument } of booked) {
      const of = books.get(id) ?? new Map<string, string[]>()
      books.set(id, of.set(at, [...(of.get(at) ?? []), argument]))
    }
    const executions = new Map(rows.map(({ id, status, output, nothing, error }): [string, Execution] => [
      id, { id, status, output: nothing ? 'undefined' : show(output), error, booked: books.get(id) ?? new Map<string, string[]>() }]))
    // Those that died before they had begun have none.
    this.#files = this.#files.filter((file) => existsSync(file))
    const runs = runsOf(this.#files)
    const byTag = new Map<string, string[]>()
    for (const [id, of] of runs) {
      this.runs += of.length
      const tag = of[0]?.input.tag ?? ''
      byTag.set(tag, [...(byTag.get(tag) ?? []), id])
    }
    for (const file of this.#files) rmSync(file)
    return { executions, runs, byTag }
  }
}
