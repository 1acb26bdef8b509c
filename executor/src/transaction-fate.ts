// What became of a transaction whose commit got no answer: the connection was cut after the server had committed, or before, or
// the server went down. Until that is known nobody goes on.
import { setTimeout as sleep } from 'node:timers/promises'
import { sqlState } from './database-errors.js'
import { CommitUnknownError } from './errors.js'
import type { StepFate } from './protocol.js'

const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 500
/** The class of errors that will not go away: no such function, no permission. */
const WRONG_CALL = '42'

/**
 * Asks until there is an answer, on whatever connection there is.
 * @param signal fires when the run must stop: its lease is lost, or the executor stops
 * @throws CommitUnknownError when it cannot be known
 */
export async function fateOfStep(step: string, signal: AbortSignal, ask: () => Promise<StepFate>): Promise<'recorded' | 'absent'> {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(LONGEST_PAUSE_MS, pause * 2)) {
    if (signal.aborted) throw new CommitUnknownError(step, { cause: signal.reason })
    try {
      const fate = await untilAborted(ask(), signal)
      if (fate === 'fenced') throw new CommitUnknownError(step)
      return fate
    } catch (error) {
      if (error instanceof CommitUnknownError) throw error
      if (sqlState(error)?.startsWith(WRONG_CALL) === true) throw new CommitUnknownError(step, { cause: error })
    }
    // Woken early by the signal, it is seen above.
    await sleep(pause * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined)
  }
}

async function untilAborted<Answer>(answer: Promise<Answer>, signal: AbortSignal): Promise<Answer> {
  let stop: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    stop = () => {
      reject(new Error('the run was stopped'))
    }
    signal.addEventListener('abort', stop)
  })
  try {
    return await Promise.race([answer, aborted])
  } finally {
    if (stop !== undefined) signal.removeEventListener('abort', stop)
  }
}
