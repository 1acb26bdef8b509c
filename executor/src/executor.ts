// The executor: claims executions, runs them, reports them, until it is stopped.
import { hostname } from 'node:os'
import type pg from 'pg'
import { ANSWER_MS, CONNECT_MS, inReadCommitted, ownPool, stepsPool, warnOfLoss } from './connections.js'
import { troubleOf } from './database-errors.js'
import { LONGEST_TIMER_MS, toMilliseconds } from './duration.js'
import { ExecutorStoppedError, UsageError } from './errors.js'
import { EndedHints } from './ended-hints.js'
import { EventMatcher } from './event-matcher.js'
import { ClaimTrouble } from './claim-trouble.js'
import { Exchange } from './exchange.js'
import { byName, checkCounts, type ExecutorOptions, type ExecutorStats, type StopOptions } from './executor-options.js'
import { Jobs } from './jobs.js'
import { Leases } from './leases.js'
import { boundLogger, defaultLogger, type Logger } from './logger.js'
import { Offers } from './offers.js'
import { Progress } from './progress.js'
import * as protocol from './protocol.js'
import type { Outcome } from './outcome.js'
import { redacted, withRedactedErrors } from './redacted-log.js'
import { Run } from './run.js'
import { Resumption } from './resumption.js'
import type { RunSupport } from './run-support.js'
import { checkSchemaVersion } from './schema-version.js'
import { describer, failedBy, safeRedactor } from './thrown.js'
import { Wakeup } from './wakeup.js'
import type { Workflow } from './workflow.js'

/** Connections beside the lanes, and how long one is kept that nobody uses. */
const CALLS = 4
const CALLS_IDLE_MS = 30_000

export class Executor {
  readonly #workflows: Map<string, Workflow>
  readonly #logger: Logger
  readonly #name: string
  readonly #pollMs: number
  readonly #counts = { claimed: 0, completed: 0, retried: 0, deadLettered: 0, waiting: 0, parked: 0, released: 0, fenced: 0, ended: 0 }
  readonly #lanePool: pg.Pool
  readonly #callPool: pg.Pool
  readonly #pool: pg.Pool
  readonly #exchange: Exchange
  readonly #leases: Leases
  readonly #wakeup: Wakeup
  readonly #endedHints: EndedHints
  readonly #jobs: Jobs
  readonly #support: RunSupport<Run>
  readonly #progress: Progress
  readonly #offers: Offers
  readonly #eventMatcher: EventMatcher
  readonly #resumption: Resumption
  readonly #claimTrouble: ClaimTrouble
  #id = ''
  #poll: NodeJS.Timeout | undefined
  #state: 'new' | 'running' | 'stopping' | 'stopped' = 'new'
  #starting: Promise<void> | undefined
  #stopping: Promise<void> | undefined
  #registering: Promise<void> | undefined

  /** @throws UsageError for options that cannot work */
  constructor(options: ExecutorOptions) {
    const { connectionString, concurrency = 100, lanes = 2, poolSize = 10 } = options
    this.#workflows = byName(options.workflows)
    checkCounts({ concurrency, lanes, poolSize })
    const logger = options.logger ?? defaultLogger()
    const redact = safeRedactor(options.redact)
    const describe = describer(options)
    this.#logger = options.redact === undefined ? logger : withRedactedErrors(logger, redact)
    this.#name = options.name ?? `${hostname()}:${process.pid}`
    this.#pollMs = toMilliseconds(options.pollInterval ?? '1s', 'pollInterval')
    const common = { connectionString, keepAlive: true, connectionTimeoutMillis: CONNECT_MS }
    const onLost = warnOfLoss(this.#logger)
    // A call that gets no answer in time gives its connection up, and all is sent again.
    const ours = { ...common, pipeline: true, query_timeout: ANSWER_MS, application_name: 'fw executor' }
    // One more than the lanes, for what goes apart.
    this.#lanePool = ownPool({ ...ours, max: lanes + 1 }, onLost)
    // For what runs resume from, for leases and the like, which wait for no lane, nor a lane for them.
    this.#callPool = ownPool({ ...ours, max: CALLS, idleTimeoutMillis: CALLS_IDLE_MS }, onLost)
    this.#pool = stepsPool({ ...common, max: poolSize, application_name: 'fw steps' }, onLost)
    this.#exchange = new Exchange({
      pool: this.#lanePool,
      logger: this.#logger,
      capacity: concurrency,
      lanes,
      executorId: () => this.#id,
      describe,
      onClaim: (claim) => this.#run(claim, this.#exchange.lastClaim),
      onClaims: (error) => {
        if (error === undefined) this.#claimTrouble.worked()
        else this.#claimTrouble.failed(error)
      },
      onGone: (run, how) => {
        this.#leases.remove(run)
        this.#resumption.remove(run)
        this.#counts[how === 'retry_pending' ? 'retried' : how === 'failed' ? 'deadLettered' : how]++
        this.#offers.take()
      },
      onUnknown: () => this.#register(),
    })
    this.#claimTrouble = new ClaimTrouble({ sql: this.#callPool, logger: this.#logger, executorId: () => this.#id, describe })
    this.#resumption = new Resumption({
      sql: this.#callPool,
      logger: this.#logger,
      executorId: () => this.#id,
      onReady: (run) => {
        this.#begin(run)
      },
      onRefused: (run, error) => {
        this.#end(run, failedBy(error, this.#support.describe))
      },
      onLost: (run) => {
        this.#exchange.lose(run)
      },
      onLater: (run, delayMs) => {
        this.#end(run, { kind: 'deferred', delayMs })
      },
    })
    this.#leases = new Leases({
      sql: this.#callPool,
      logger: this.#logger,
      executorId: () => this.#id,
      onLost: (run) => {
        this.#exchange.lose(run)
      },
      onEnded: (ended) => {
        this.#exchange.cancel(ended)
      },
    })
    this.#offers = new Offers({
      sql: this.#callPool,
      logger: this.#logger,
      executorId: () => this.#id,
      reserve: (most) => (this.#state === 'running' ? this.#exchange.reserve(most) : 0),
      unreserve: (room) => {
        this.#exchange.unreserve(room)
      },
      knows: (workflowName) => this.#workflows.has(workflowName),
      onClaim: (claim, askedAt) => {
        this.#exchange.add(this.#run(claim, askedAt))
      },
    })
    this.#eventMatcher = new EventMatcher({ sql: this.#callPool, logger: this.#logger })
    this.#jobs = new Jobs({ pool: this.#callPool, logger: this.#logger, executorId: () => this.#id, name: this.#name })
    this.#endedHints = new EndedHints({
      sql: this.#callPool,
      logger: this.#logger,
      held: () => this.#exchange.held,
      onEnded: (ended) => {
        this.#exchange.cancel(ended)
      },
      onDenied: (count) => {
        this.#wakeup.denied(count)
      },
    })
    this.#wakeup = new Wakeup({
      connectionString,
      logger: this.#logger,
      onWork: (organizationId) => {
        this.#exchange.hear(organizationId)
      },
      onBatch: (batchId) => {
        this.#offers.add(batchId)
      },
      onEnded: (ended) => {
        this.#endedHints.hear(ended)
      },
      onUnmatched: () => {
        this.#eventMatcher.match()
      },
    })
    this.#progress = new Progress({ sql: this.#callPool, logger: this.#logger, executorId: () => this.#id })
    this.#support = {
      makeDurable: (run) => this.#exchange.makeDurable(run),
      noteCheckpoint: (run) => {
        this.#exchange.noteCheckpoint(run)
      },
      connect: () => this.#pool.connect(),
      checkpoint: (client, run, step) => protocol.checkpoint(client, this.#id, run.claim, step),
      beginWaits: (run, waits) => {
        void this.#beginWaits(run, waits)
      },
      stepFate: (run, step, transaction) =>
        inReadCommitted(this.#pool, (sql) => protocol.stepFate(sql, this.#id, run.claim, step, transaction)),
      recordCompensation: (run, step) => untilAnswered(run, () => protocol.recordCompensation(this.#callPool, this.#id, run.claim, step)),
      noteProgress: (run, fraction, text) => {
        this.#progress.note(run, fraction, text === undefined ? undefined : redact(text))
      },
      log: ({ claim: { executionId, workflowName, attempt } }) => {
        const bound = boundLogger(logger, { executionId, workflowName, attempt })
        return options.redact === undefined ? bound : redacted(bound, redact)
      },
      resultsLimit: Infinity,
      describe,
      redact,
    }
  }

  get stats(): Readonly<ExecutorStats> {
    return { ...this.#counts, inFlight: this.#exchange.inFlight }
  }

  /**
   * Registers with the database and starts to claim work. Resolves once it listens.
   * @throws SchemaVersionError, UsageError, or the error of a database that cannot be reached
   */
  async start(): Promise<void> {
    if (this.#state !== 'new') throw new UsageError(`this executor is ${this.#state}; make a new one`)
    this.#state = 'running'
    this.#starting = this.#start()
    await this.#starting
  }

  async #start(): Promise<void> {
    try {
      await checkSchemaVersion(this.#callPool)
      await this.#register()
      this.#support.resultsLimit = await protocol.resultsLimit(this.#callPool)
    } catch (error) {
      this.#state = 'stopped'
      await this.#endPools()
      throw error
    }
    this.#leases.start()
    await this.#wakeup.start()
    // From now on it hears of them.
    this.#eventMatcher.match()
    this.#exchange.startClaiming()
    this.#schedulePoll()
    this.#jobs.start()
    this.#logger.info({ executorId: this.#id, name: this.#name, workflows: [...this.#workflows.keys()] }, 'executor started')
  }

  /**
   * Takes no new work, finishes what runs, hands back what does not finish in time, and closes every connection.
   * Resolves when all is done; a second call waits for the first.
   */
  async stop(options: StopOptions = {}): Promise<void> {
    const timeoutMs = toMilliseconds(options.timeout ?? '25s', 'the timeout of stop()')
    await (this.#stopping ??= this.#stop(timeoutMs))
  }

  async #stop(timeoutMs: number): Promise<void> {
    // A start that fails has closed everything; start() itself says why.
    await this.#starting?.catch(() => undefined)
    if (this.#state === 'new') await this.#endPools()
    if (this.#state !== 'running') {
      this.#state = 'stopped'
      return
    }
    this.#state = 'stopping'
    clearTimeout(this.#poll)
    this.#exchange.stopClaiming()
    await this.#jobs.stop()
    await this.#offers.settled()
    // Until the runs are done it hears of those that are ended from outside. Nothing else that it hears of is taken any more.
    await this.#finish(timeoutMs)
    await this.#wakeup.stop()
    await this.#endedHints.stop()
    await this.#eventMatcher.stop()
    await this.#leases.stop()
    await this.#progress.stop()
    await this.#resumption.stop()
    await this.#claimTrouble.settled()
    await this.#exchange.close()
    try {
      await protocol.stopExecutor(this.#callPool, this.#id)
    } catch (error) {
      this.#logger.warn({ err: error }, 'the database could not be told that this executor stops')
    }
    await this.#endPools()
    this.#state = 'stopped'
    this.#logger.info({ executorId: this.#id, ...this.#counts }, 'executor stopped')
  }

  async #finish(timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs
    while (this.#exchange.inFlight > 0 && performance.now() < deadline) await sleep(20)
    for (const run of [...this.#exchange.held]) {
      run.stop(new ExecutorStoppedError())
      // A handler that does not listen to its signal is not waited for.
      this.#exchange.end(run, { kind: 'stopped' })
    }
    const last = performance.now() + Math.max(5000, timeoutMs)
    while (!this.#exchange.isDrained && performance.now() < last) await sleep(20)
  }

  async #endPools(): Promise<void> {
    await Promise.all([this.#pool.end(), this.#lanePool.end(), this.#callPool.end()])
  }

  #run(claim: protocol.Claim, grantedAt: number): Run {
    const workflow = this.#workflows.get(claim.workflowName)
    if (workflow === undefined) throw new Error(`the database handed over workflow '${claim.workflowName}', which is not registered`)
    const run = new Run(claim, workflow, this.#support)
    this.#counts.claimed++
    this.#leases.add(run, grantedAt)
    if (this.#state === 'running') {
      if (claim.isResuming === true) this.#resumption.add(run)
      else this.#begin(run)
    } else {
      // It came in while stopping; nothing of it has started.
      queueMicrotask(() => {
        this.#exchange.end(run, { kind: 'stopped' })
      })
    }
    return run
  }

  #begin(run: Run): void {
    void run.execute().then((outcome) => {
      this.#ended(run, outcome)
    })
  }

  #ended(run: Run, outcome: Outcome): void {
    if (outcome.kind !== 'lost' && this.#progress.holds(run)) {
      // Nothing is noted of a run that has ended: its last word goes first.
      void this.#progress.flush(run).then(() => {
        this.#end(run, outcome)
      })
    } else {
      this.#end(run, outcome)
    }
  }

  #end(run: Run, outcome: Outcome): void {
    if (outcome.kind === 'changed') {
      const { executionId, workflowName, attempt } = run.claim
      this.#logger.warn({ executionId, workflowName, attempt, recorded: outcome.recorded, asked: outcome.asked }, `an execution is parked: ${outcome.reason}`)
    }
    // One that was handed back already has no place in flight any more.
    if (!this.#exchange.held.has(run)) return
    if (outcome.kind === 'lost') this.#exchange.lose(run)
    else this.#exchange.end(run, outcome)
  }

  /** What is not begun here begins when the run only waits. */
  async #beginWaits(run: Run, waits: readonly protocol.Wait[]): Promise<void> {
    const { executionId, batchId } = run.claim
    try {
      // A child that is invoked is an effect: what led to it must be durable.
      await this.#exchange.makeDurable(run)
      run.throwIfStopped()
      await protocol.beginWaits(this.#callPool, this.#id, { executionId, batchId, waits })
    } catch (error) {
      this.#logger.debug({ err: error, executionId }, 'waits could not begin beside steps; they begin after them')
    }
  }

  #register(): Promise<void> {
    const policies = [...this.#workflows.values()].map(({ policy }) => policy)
    this.#registering ??= protocol
      .registerExecutor(this.#callPool, this.#name, policies)
      .then((id) => {
        this.#id = id
      })
      .finally(() => {
        this.#registering = undefined
      })
    return this.#registering
  }

  /** Looks for work after the poll interval without a claim, with jitter so that executors do not look all at once. */
  #schedulePoll(): void {
    const jittered = this.#pollMs * (0.8 + Math.random() * 0.4)
    const due = this.#exchange.lastClaim + jittered - performance.now()
    this.#poll = setTimeout(() => {
      if (performance.now() - this.#exchange.lastClaim >= jittered) this.#exchange.lookForWork()
      this.#schedulePoll()
    }, Math.min(LONGEST_TIMER_MS, Math.max(50, due)))
  }
}

/** Asks again while the database does not answer and the run goes on. */
async function untilAnswered(run: Run, ask: () => Promise<boolean>): Promise<boolean> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!['retry', 'locked'].includes(troubleOf(error)) || run.signal().aborted) throw error
      await sleep(200 + 300 * Math.random())
    }
  }
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
