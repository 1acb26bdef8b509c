// An executor in a process of its own that runs random programs and writes down in a file what happens to them. After so
// many places as LIFE says it kills itself at the next one of the kind that DEATH names; where that is `stop`, it stops in good order.
import { randomUUID } from 'node:crypto'
import { openSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { pino } from 'pino'
import { z } from 'zod'
import { Executor, PermanentError, type Workflow, workflow } from '../../src/index.js'
import { onKillPoint } from '../../src/kill-points.js'
import type { Entry } from './journal.js'
import { failure } from './model.js'
import { describe, type Effect, type Input, isStop, type Operations, play, type World } from './play.js'
import { kept, makeValue, show } from './values.js'

const { DATABASE_URL: connectionString = '', JOURNAL: journal = '', LIFE: life = '', DEATH: death = '' } = process.env
const file = openSync(journal, 'a')
/** How many places are left. Not time: on a machine that is busy with other things as much gets done in a life. */
let left = Number(life)
let stopping: Promise<void> | undefined
/** Runs whose handler has not ended. */
const open = new Map<string, string>()

/** A place at which the process may die. */
function place(name: string): void {
  if (left-- > 0) return
  if (death === 'stop') stop()
  // If it never comes to the place of its choice, at any.
  else if (name === death || left < -500) process.kill(process.pid, 'SIGKILL')
}

function write(entry: Entry): void {
  // At once: what was written before the process dies is there.
  writeSync(file, `${JSON.stringify(entry)}\n`)
}

onKillPoint((point, when) => {
  place(`${point}:${when}`)
})

const often = { maxAttempts: 100, backoff: { initial: 1, max: 5 } }
const input = z.custom<Input>()

async function handle(ctx: Operations & { executionId: string; attempt: number }, given: Input): Promise<unknown> {
  const [execution, run] = [ctx.executionId, randomUUID()]
  const line = (entry: Omit<Entry, 'execution' | 'run' | 'time'>) => {
    write({ ...entry, execution, run, time: Date.now() })
  }
  const world: World = {
    executionId: execution,
    note: (kind, at, text) => {
      line({ kind, at, text })
      place(kind)
    },
    effect: async ({ at, argument, shape, ms, fails, tries, item }: Effect) => {
      line({ kind: 'run', at, text: show(argument), ...(item === undefined ? {} : { item }) })
      place('step')
      // Not always alike, so that races end now one way, now the other.
      if (ms > 0) await sleep(ms * (0.5 + Math.random()))
      place('step done')
      if (tries > 0 || fails === 'always' || (fails === 'attempt' && Math.random() < 0.4) || (fails === 'chance' && Math.random() < 0.5)) throw failure(fails ?? 'attempt', at)
      return makeValue(argument, shape, item)
    },
    book: async (sql, at, argument) => {
      line({ kind: 'run', at, text: show(argument) })
      await (sql as pg.ClientBase).query('insert into booked (execution_id, at, argument) values ($1, $2, $3)', [execution, at, show(argument)])
      place('booked')
    },
    workflow: (name) => (name === 'ship' ? ship : random),
  }
  open.set(run, execution)
  line({ kind: 'begin', attempt: ctx.attempt, input: given })
  place('begin')
  try {
    const value = kept(await play(ctx, world, given))
    line({ kind: 'end', text: show(value) })
    place('end')
    return value
  } catch (error) {
    if (!isStop(error)) line({ kind: 'end', text: error instanceof PermanentError ? error.message : thrown(error), isError: true })
    place('end')
    throw error
  } finally {
    open.delete(run)
  }
}

/** With the errors that it comes from. */
const thrown = (error: unknown): string => (error instanceof Error && error.cause !== undefined ? `${describe(error)} (${thrown(error.cause)})` : describe(error))

const random: Workflow<Input> = workflow({ name: 'random', input, retry: often }, handle)
const ship: Workflow<Input> = workflow({ name: 'ship', input, retry: often }, handle)

const executor = new Executor({
  connectionString, workflows: [random, ship], pollInterval: '100ms', concurrency: 200, name: `random ${process.pid}`,
  // What fails here fails on purpose.
  logger: pino({ level: 'silent' }),
})
await executor.start()
function stop(): void {
  stopping ??= (async () => {
    for (const [run, execution] of open) write({ kind: 'leave', execution, run, time: Date.now() })
    await executor.stop({ timeout: 100 })
    process.exit()
  })()
}
