// Waits for the executions of a run, and shows how far they are: a bar on a terminal, a line now and then elsewhere.
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'

const LOOK_EVERY_MS = 100
const LINE_EVERY_MS = 2000
const WIDTH = 40

/** @throws the signal's reason when it fires first */
export async function untilFinished(sql: pg.Pool, run: string, total: number, signal: AbortSignal): Promise<void> {
  const terminal = process.stderr.isTTY
  let lastLine = performance.now()
  try {
    for (;;) {
      const { rows } = await sql.query<{ finished: number; dead: number }>(
        `select count(*)::integer as finished, count(*) filter (where status = 'failed')::integer as dead
         from fw_workflow_executions where metadata ->> 'run' = $1 and completed_at is not null`,
        [run],
      )
      const { finished = 0, dead = 0 } = rows[0] ?? {}
      const words = `${finished} of ${total} finished, ${dead} of them in the dead-letter queue`
      if (terminal) {
        const done = Math.floor((finished / Math.max(1, total)) * WIDTH)
        process.stderr.write(`\r\x1b[K[${'#'.repeat(done)}${'.'.repeat(WIDTH - done)}] ${words}`)
      } else if (performance.now() - lastLine >= LINE_EVERY_MS) {
        process.stderr.write(`${words}\n`)
        lastLine = performance.now()
      }
      if (finished >= total) return
      await sleep(LOOK_EVERY_MS, undefined, { signal })
    }
  } finally {
    if (terminal) process.stderr.write('\n')
  }
}
