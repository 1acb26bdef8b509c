// The jobs that pg_cron runs where there is one: without it, an executor does, one executor at a time. The database says
// which are due and gives each to one of those that ask.
import type pg from 'pg'
import type { Logger } from './logger.js'
import * as protocol from './protocol.js'

export interface JobsOptions {
  pool: pg.Pool
  logger: Logger
  executorId: () => string
  /** Of the executor, for administrators. */
  name: string
}

/** How often the database is asked for jobs that are due; the shortest period of one is a minute. */
const ASK_MS = 10_000

export class Jobs {
  readonly #options: JobsOptions
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #stopped = false
  #hasRun = false

  constructor(options: JobsOptions) {
    this.#options = options
  }

  start(): void {
    this.#running = this.#runDue().finally(() => {
      // With jitter, so that executors do not ask all at once.
      if (!this.#stopped) this.#timer = setTimeout(() => { this.start() }, ASK_MS * (0.8 + Math.random() * 0.4))
    })
  }

  /** Resolves when the job that runs has ended. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#running
  }

  async #runDue(): Promise<void> {
    const { logger, executorId } = this.#options
    try {
      // A job that could not do all in its time is due again at once, so the database is asked until it has none.
      for (let due = await this.#due(); due.length > 0; due = await this.#due()) {
        for (const job of due) {
          if (this.#stopped) return
          if (!this.#hasRun) logger.info({ executorId: executorId() }, 'pg_cron does not run the jobs of this database: this executor takes its turn at them')
          this.#hasRun = true
          await this.#run(job)
        }
      }
    } catch (error) {
      logger.warn({ err: error }, 'the database could not be asked for jobs that are due; it is asked again')
    }
  }

  async #due(): Promise<protocol.Job[]> {
    const { pool, executorId } = this.#options
    return this.#stopped ? [] : await protocol.takeDueJobs(pool, executorId())
  }

  async #run({ name }: protocol.Job): Promise<void> {
    const startedAt = performance.now()
    try {
      await protocol.runJob(this.#options.pool, name, `executor ${this.#options.name}`)
      this.#options.logger.debug({ job: name, durationMs: Math.round(performance.now() - startedAt) }, 'job done')
    } catch (error) {
      this.#options.logger.error({ err: error, job: name }, 'a job failed; it runs again when it is due next')
    }
  }
}
