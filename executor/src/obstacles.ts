// What keeps executions from starting, as the database tells it, and the warnings about it: whoever enqueues or waits hears of it once in a
// while, and is never held up by it.
import { z } from 'zod'
import { COLUMN_TYPES } from './column-types.js'
import { ANSWER_MS } from './connections.js'
import { sqlState } from './database-errors.js'
import type { Obstacle } from './errors.js'
import { inOneLine } from './printable.js'
import type { Queryable } from './protocol.js'

/** Why what was enqueued, or is waited for, does not start. */
export interface ClientWarning extends Obstacle {
  /** What `detail` and `hint` say, in one sentence. */
  message: string
  workflow: string
  organizationId: string
}

/** For the database that a role may only enqueue in, or that is older than this package. */
const NOT_TOLD = new Set(['42501', '42883'])

const ObstacleRow = z.object({
  kind: z.enum(['paused', 'organization_disabled', 'no_executor', 'slots_full']),
  detail: z.string(),
  hint: z.string(),
  workflow: z.string(),
  organizationId: z.string(),
})
export type ObstacleRow = z.infer<typeof ObstacleRow>

const OBSTACLES_OF = `select o.obstacle as kind, o.detail, o.hint, e.workflow_name as workflow, e.organization_id::text as "organizationId"
  from public.fw_obstacles_of($1) o, public.fw_get_execution($1) e`

/** What keeps an execution from its next run; nothing for one that runs or has finished, and where the role may not ask. */
export async function obstaclesOf(sql: Queryable, executionId: string): Promise<ObstacleRow[]> {
  return await read(sql, OBSTACLES_OF, [executionId])
}

async function read(sql: Queryable, text: string, values: unknown[]): Promise<ObstacleRow[]> {
  try {
    const query = { text, values, types: COLUMN_TYPES, query_timeout: ANSWER_MS }
    return ObstacleRow.array().parse((await sql.query(query)).rows)
  } catch (error) {
    if (NOT_TOLD.has(sqlState(error) ?? '')) return []
    throw error
  }
}

const AGAIN_AFTER_MS = 60_000
/** From one look to the next, so that a client of many tenants asks no more than a few times a second. */
const SHORTEST_PAUSE_MS = 200
/** Names that are remembered; a client of more tenants than these is warned more often. */
const MOST_REMEMBERED = 10_000

/** Looks, once a minute at most for each workflow and organization, one look at a time and a few in a second, and warns of what it finds. */
export class ObstacleWatch {
  readonly #sql: Queryable
  readonly #warn: (warning: ClientWarning) => void
  readonly #looked = new Map<string, number>()
  #looking: Promise<void> | undefined
  #lastLook = -Infinity

  constructor(sql: Queryable, warn: (warning: ClientWarning) => void) {
    this.#sql = sql
    this.#warn = warn
  }

  /** After an enqueue. It is not waited for. What comes too soon after another look is left to a later enqueue. */
  enqueued(workflow: string, organizationId: string): void {
    if (!this.#isDue(workflow, organizationId)) return
    this.#remember(workflow, organizationId)
    this.#look(
      'select o.obstacle as kind, o.detail, o.hint, $2::text as workflow, $1::text as "organizationId" from public.fw_obstacles($1::uuid, $2) o',
      [organizationId, workflow],
    )
  }

  /** Somebody waits for an execution, and it has not begun. */
  waiting(executionId: string): void {
    if (!this.#isDue(executionId)) return
    this.#remember(executionId)
    this.#look(OBSTACLES_OF, [executionId])
  }

  /** Resolves when no look is under way. */
  async settled(): Promise<void> {
    await this.#looking
  }

  #isDue(...names: string[]): boolean {
    const now = performance.now()
    if (this.#looking !== undefined || now - this.#lastLook < SHORTEST_PAUSE_MS) return false
    const looked = this.#looked.get(names.join(' '))
    return looked === undefined || now - looked >= AGAIN_AFTER_MS
  }

  #remember(...names: string[]): void {
    if (this.#looked.size >= MOST_REMEMBERED) this.#looked.clear()
    this.#lastLook = performance.now()
    this.#looked.set(names.join(' '), this.#lastLook)
  }

  #look(text: string, values: unknown[]): void {
    this.#looking = read(this.#sql, text, values)
      .then((rows) => {
        for (const row of rows) this.#tell(row)
      })
      // It is only a courtesy: whoever asks next hears what is wrong with the database, and a warning that throws must not end the process.
      .catch(() => undefined)
      .finally(() => {
        this.#looking = undefined
      })
  }

  #tell(row: ObstacleRow): void {
    // The name of a workflow may be anybody's text, and warnings are printed.
    this.#warn({ ...row, message: inOneLine(`work of workflow '${row.workflow}' for organization ${row.organizationId} waits: ${row.detail}. ${row.hint}`) })
  }
}

/** As Node tells of warnings: one line on standard error, and the event `warning` of the process. */
export function emitWarning({ message, kind }: ClientWarning): void {
  process.emitWarning(message, { type: 'DurableExecutionWarning', code: kind.toUpperCase() })
}
