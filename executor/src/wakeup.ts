// Listens for new work. A notification is only a hint that saves the wait for the next poll, so nothing here may stop the
// executor: without a listener (a pooler in transaction mode, say) it goes on polling.
import pgListen, { type Subscriber } from 'pg-listen'
import { z } from 'zod'
import { COLUMN_TYPES } from './column-types.js'
import { HintNoise } from './hint-noise.js'
import type { Logger } from './logger.js'

export interface WakeupOptions {
  connectionString: string
  logger: Logger
  /** An organization has new work; or unknown ones may have, after a reconnect. */
  onWork: (organizationId?: string) => void
  /** A batch was offered. */
  onBatch: (batchId: string) => void
  /** An execution may have been ended from outside. */
  onEnded: (ended: { executionId: string; batchId: string }) => void
  /** Somebody may have missed an event; or this listener may have missed to hear of it. */
  onUnmatched: () => void
}

// No more than two: pg-listen sends all of them at once after a reconnect, and a third one makes pg warn.
const CHANNELS = ['fw_work', 'fw_batch']
const idSchema = z.guid().toLowerCase()
const endedSchema = z.object({ execution_id: idSchema, batch_id: idSchema })
const unmatchedSchema = z.object({ match_events: z.literal(true) })
/** Stands for a payload that is not JSON: the listener itself would call that a failure of its own. */
const UNREADABLE = Symbol('unreadable')
const LONGEST_RETRY_MS = 5000
const CHECK_MS = 30_000

export class Wakeup {
  readonly #options: WakeupOptions
  readonly #subscriber: Subscriber
  readonly #noise: HintNoise
  #stopped = false

  constructor(options: WakeupOptions) {
    this.#options = options
    this.#noise = new HintNoise(options.logger)
    const { connectionString, logger, onWork, onBatch, onEnded, onUnmatched } = options
    this.#subscriber = pgListen.default(
      // It only listens, so no isolation matters to it.
      { connectionString, application_name: 'fw listener', types: COLUMN_TYPES },
      {
        retryInterval: (attempt) => {
          // The only way to end its tries to reconnect.
          if (this.#stopped) throw new Error('the listener was stopped')
          return Math.min(LONGEST_RETRY_MS, 100 * 2 ** Math.min(attempt, 10)) * (0.5 + Math.random() / 2)
        },
        retryLimit: Infinity,
        retryTimeout: 0,
        paranoidChecking: CHECK_MS,
        parse,
      },
    )
    const { events, notifications } = this.#subscriber
    events.on('connected', () => {
      // It may have been reconnecting while it was stopped.
      if (this.#stopped) {
        void this.stop()
        return
      }
      onWork()
      onUnmatched()
    })
    events.on('error', (error: Error) => {
      if (!this.#stopped) logger.warn({ err: error }, 'the listener failed; work is found by polling')
    })
    notifications.on('fw_work', (payload: unknown) => {
      const organizationId = idSchema.safeParse(payload)
      if (organizationId.success || payload === null) onWork(organizationId.data)
      else this.#noise.unreadable()
    })
    notifications.on('fw_batch', (payload: unknown) => {
      const batchId = idSchema.safeParse(payload)
      const ended = batchId.success ? undefined : endedSchema.safeParse(payload)
      if (batchId.success) onBatch(batchId.data)
      else if (ended?.success === true) onEnded({ executionId: ended.data.execution_id, batchId: ended.data.batch_id })
      else if (unmatchedSchema.safeParse(payload).success) onUnmatched()
      else this.#noise.unreadable()
    })
  }

  /** Never rejects. */
  async start(): Promise<void> {
    try {
      await this.#subscriber.connect()
      for (const channel of CHANNELS) await this.#subscriber.listenTo(channel)
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'no listener; work is found by polling')
      // It goes on trying to connect, and then listens to the channels that it was told once.
      for (const channel of CHANNELS) await this.#listenLater(channel)
    }
  }

  async #listenLater(channel: string): Promise<void> {
    try {
      await this.#subscriber.listenTo(channel)
    } catch {
      // It is not connected; the channel is remembered.
    }
  }

  /** So many of those that were heard are not true, as the database says. */
  denied(count: number): void {
    this.#noise.untrue(count)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#noise.stop()
    try {
      await this.#subscriber.close()
    } catch {
      // It was not connected.
    }
  }
}

function parse(payload: string): unknown {
  try {
    return JSON.parse(payload) as unknown
  } catch {
    return UNREADABLE
  }
}
