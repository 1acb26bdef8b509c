// How a run ends.
import type { Wait } from './protocol.js'
import type { Failed } from './thrown.js'

export type Outcome =
  | { kind: 'completed'; output: string | undefined }
  | Failed
  /** The handler waits, and for nothing but this. */
  | { kind: 'waiting'; waits: Wait[] }
  /** To be handed back, and run again after so long; no failed attempt. */
  | { kind: 'deferred'; delayMs: number }
  /** The code does not fit what was recorded. */
  | { kind: 'changed'; recorded: string; asked: string; reason: string }
  /** Nothing may be written any more. */
  | { kind: 'lost' }
  /** To be handed back. */
  | { kind: 'stopped' }
