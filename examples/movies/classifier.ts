// Stands for a service elsewhere, which is down now and then. Which calls meet an outage depends on the movie and the
// attempt alone, so every run of the demo meets the same ones.
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ErrorCategory } from 'durable-execution-worker'
import type { Movie } from './movie.js'

export type Verdict = 'hit' | 'even' | 'flop' | 'unknown'

/** An error may say what kind it is: the category is kept with the execution. It is retried, as any error is by default. */
export class ClassifierUnavailableError extends Error {
  readonly category = 'EXTERNAL_SERVICE' satisfies ErrorCategory

  constructor() {
    super('the classifier did not answer')
  }
}

/** Whether a movie paid for itself. One in twenty has no answer in its first attempt, one in a hundred in its second. */
export async function classify(movie: Movie, attempt: number, signal: AbortSignal): Promise<Verdict> {
  await sleep(2, undefined, { signal })
  if (attempt <= outages(movie)) throw new ClassifierUnavailableError()
  if (movie.worldwideGross === null || movie.budget === null) return 'unknown'
  // Cinemas keep about half of what is paid at the door.
  if (movie.worldwideGross >= movie.budget * 2) return 'hit'
  return movie.worldwideGross >= movie.budget ? 'even' : 'flop'
}

function outages({ title, released }: Movie): number {
  const draw = createHash('sha256').update(`${title} ${released}`).digest().readUInt32BE() / 2 ** 32
  return draw < 0.01 ? 2 : draw < 0.05 ? 1 : 0
}
