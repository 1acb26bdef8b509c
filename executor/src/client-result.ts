// Waiting for the result of an execution, through whatever becomes of the database meanwhile.
import { z } from 'zod'
import { cut, readRows } from './answers.js'
import { ANSWER_MS } from './connections.js'
import { ExecutionFailedError, ResultTimeoutError, UnknownExecutionError } from './errors.js'
import { type ObstacleWatch, obstaclesOf } from './obstacles.js'
import type { Queryable } from './protocol.js'
import { isPassing } from './refusals.js'

const FIRST_LOOK_MS = 5
const SLOWEST_LOOK_MS = 500
/** What has not begun by then is worth a look at what keeps it. */
const LOOK_FOR_OBSTACLES_MS = 2000
/** A look gets at least this long, also at the end of the timeout. */
const SHORTEST_ANSWER_MS = 1000

const Answer = z.object({
  status: z.string().nullable(),
  output: z.unknown(),
  is_nothing: z.boolean(),
  error: z.string().nullable(),
  error_category: z.string().nullable(),
})
type Answer = z.infer<typeof Answer>

/**
 * Looks again and again until the execution has finished.
 * @param timeoutMs after which it gives up
 * @throws what Client.result() throws
 */
export async function awaitResult(sql: Queryable, watch: ObstacleWatch, id: string, timeoutMs: number): Promise<unknown> {
  const started = performance.now()
  const deadline = started + timeoutMs
  let status: string | undefined
  let failed: unknown
  for (let pause = FIRST_LOOK_MS; ; pause = Math.min(SLOWEST_LOOK_MS, pause * 1.5)) {
    try {
      const answer = await look(sql, id, deadline)
      failed = undefined
      if (isOver(id, answer)) return answer.is_nothing ? undefined : answer.output
      status = answer.status ?? undefined
    } catch (error) {
      // The database is started anew, say: the execution goes on after that, and so do we.
      if (!isPassing(error)) throw error
      failed = error
    }
    const left = deadline - performance.now()
    if (left <= 0) throw await timedOut(sql, id, timeoutMs, status, failed)
    if (status !== undefined && status !== 'running' && performance.now() - started > LOOK_FOR_OBSTACLES_MS) watch.waiting(id)
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, pause)))
  }
}

async function look(sql: Queryable, id: string, deadline: number): Promise<Answer> {
  const text = `select r.status, r.output, r.output is null as is_nothing, ${cut('r.error')} as error, r.error_category from public.fw_result($1) r`
  const [answer] = await readRows(sql, Answer, text, [id], Math.ceil(Math.min(ANSWER_MS, Math.max(SHORTEST_ANSWER_MS, deadline - performance.now()))))
  if (answer === undefined) throw new UnknownExecutionError(id)
  return answer
}

/** @throws UnknownExecutionError, ExecutionFailedError */
function isOver(id: string, { status, error, error_category: category }: Answer): boolean {
  if (status === null) throw new UnknownExecutionError(id)
  if (status === 'failed' || status === 'timed_out' || status === 'cancelled') throw new ExecutionFailedError(id, status, error, category)
  return status === 'completed'
}

async function timedOut(sql: Queryable, id: string, timeoutMs: number, status: string | undefined, failed: unknown): Promise<Error> {
  if (failed !== undefined) return new ResultTimeoutError(id, timeoutMs, undefined, [], { cause: failed })
  const rows = await obstaclesOf(sql, id).catch(() => [])
  return new ResultTimeoutError(id, timeoutMs, status, rows.map(({ kind, detail, hint }) => ({ kind, detail, hint })))
}
