// Keys that callers choose: of events, and those by which an enqueue is known again. They are checked before anything is sent, for the
// driver would change half of a surrogate pair on its way, and the database would hear of another key.
import { UsageError } from './errors.js'

const LONGEST_EVENT_KEY = 200
const LONGEST_IDEMPOTENCY_KEY = 500

/** @throws UsageError for what cannot be the key of an event */
export function checkEventKey(key: string): void {
  checkKey(key, 'the key of an event', LONGEST_EVENT_KEY)
}

/** @throws UsageError for what cannot be an idempotency key */
export function checkIdempotencyKey(key: string): void {
  checkKey(key, 'an idempotency key', LONGEST_IDEMPOTENCY_KEY)
}

function checkKey(key: unknown, what: string, longest: number): void {
  if (typeof key !== 'string') throw new UsageError(`${what} is a text, not ${key === null ? 'null' : `of type ${typeof key}`}`)
  if (key.includes('\0') || !key.isWellFormed()) {
    throw new UsageError(`${what} cannot have the character U+0000 or half of a surrogate pair (was it cut inside an emoji?)`)
  }
  const length = lengthOf(key)
  if (length < 1 || length > longest) throw new UsageError(`${what} has 1 to ${longest} characters, not ${length}`)
}

/** In characters, as the database counts them: an emoji of two UTF-16 units is one. */
function lengthOf(text: string): number {
  let length = 0
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    // The second half of a pair comes with the first.
    if (unit < 0xdc00 || unit > 0xdfff) length++
  }
  return length
}
