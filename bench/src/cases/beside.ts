// Processes that a case starts beside itself, and the messages between them.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { Spec } from './spec.ts'

const PLAYER = fileURLToPath(new URL('../player.ts', import.meta.url))

export const messageSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready') }),
  z.object({ kind: z.literal('go') }),
  z.object({ kind: z.literal('over'), count: z.number() }),
  z.object({ kind: z.literal('stop') }),
  z.object({ kind: z.literal('times'), milliseconds: z.array(z.number()) }),
  z.object({ kind: z.literal('memory'), peakBytes: z.number() }),
])
export type Message = z.infer<typeof messageSchema>
type MessageOf<Kind extends Message['kind']> = Extract<Message, { kind: Kind }>

/** The other process, as seen from either side. */
export interface Peer {
  send(message: Message): void
  on(hear: (message: Message) => void): void
}

/** A process beside this one; it ends when this one does. */
export class Beside implements Peer {
  readonly #child: ChildProcess
  /** Rejects when the process ends by itself. */
  readonly untilItEnds: Promise<never>

  constructor(spec: Spec, url: string) {
    this.#child = fork(PLAYER, [JSON.stringify(spec), url], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    this.untilItEnds = once(this.#child, 'exit').then(([code]) => {
      throw new Error(`a process beside the case ended too early, with exit code ${String(code)}`)
    })
    this.untilItEnds.catch(() => undefined)
  }

  send(message: Message): void {
    this.#child.send(message)
  }

  on(hear: (message: Message) => void): void {
    this.#child.on('message', (message) => {
      hear(messageSchema.parse(message))
    })
  }

  /** Waits for a message of this kind. @throws if the process ends before */
  async hear<Kind extends Message['kind']>(kind: Kind): Promise<MessageOf<Kind>> {
    return await Promise.race([this.untilItEnds, hearFrom(this, kind)])
  }

  /** Ends the process if it still runs. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill()
    await ended
  }
}

/** The process that started this one. */
export function starter(): Peer {
  process.once('disconnect', () => process.exit(1))
  return {
    send: (message) => {
      if (process.send === undefined) throw new Error('this process was not started by a case')
      process.send(message)
    },
    on: (hear) => {
      process.on('message', (message) => {
        hear(messageSchema.parse(message))
      })
    },
  }
}

export function hearFrom<Kind extends Message['kind']>(peer: Peer, kind: Kind): Promise<MessageOf<Kind>> {
  return new Promise((resolve) => {
    peer.on((message) => {
      if (message.kind === kind) resolve(message as MessageOf<Kind>)
    })
  })
}
