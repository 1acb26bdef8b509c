// The workflow: one execution takes one record from dirt to a row in demo.movies.
import { PermanentError, workflow } from 'durable-execution-worker'
import type pg from 'pg'
import { z } from 'zod'
import { classify } from './classifier.js'
import { MovieRecord, toMovie } from './movie.js'

export const importMovie = workflow(
  {
    name: 'import-movie',
    // Loose on purpose: a dirty record is enqueued all the same, and it is the first step that has the say.
    input: z.record(z.string(), z.unknown()),
    // A demo has no time; a service that is down needs more, which the defaults give it.
    retry: { backoff: { initial: '50ms' } },
  },
  async (ctx, input) => {
    const record = await ctx.step('validate', () => validated(input))
    const movie = await ctx.step('convert', () => toMovie(record))
    // An attempt that meets an outage ends here; the next one goes on here, with the results of the steps above.
    const verdict = await ctx.step('classify', ({ signal }) => classify(movie, ctx.attempt, signal), { timeout: '5s' })
    // The row and the checkpoint of this step are one transaction: there is no "on conflict", because there is no second time.
    await ctx.transaction('write', async (sql) => {
      const { title, released, distributor, director, genre, rating, minutes } = movie
      const { budget, usGross, worldwideGross, usDvdSales } = movie
      await sql.query(
        `insert into demo.movies (execution_id, title, released, distributor, director, genre, rating, minutes,
           budget, us_gross, worldwide_gross, us_dvd_sales, verdict)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
        [ctx.executionId, title, released, distributor, director, genre, rating, minutes,
          budget, usGross, worldwideGross, usDvdSales, verdict],
      )
    })
    return { title: movie.title, verdict }
  },
)

/** @throws PermanentError with zod's reasons: trying again cannot help, so the record is dead-lettered at once */
function validated(input: unknown): MovieRecord {
  const { success, data, error } = MovieRecord.safeParse(input)
  if (success) return data
  const reasons = error.issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`))
  throw new PermanentError(reasons.join('; '), { category: 'VALIDATION', cause: error })
}

/** The table is the demo's own; the worker knows nothing of it. */
export async function createMoviesTable(sql: pg.Pool): Promise<void> {
  await sql.query(`
    create schema if not exists demo;
    create table if not exists demo.movies (
      execution_id uuid primary key,
      title text not null,
      released date not null,
      distributor text,
      director text,
      genre text,
      rating text,
      minutes integer,
      budget bigint,
      us_gross bigint,
      worldwide_gross bigint,
      us_dvd_sales bigint,
      verdict text not null
    )`)
}
