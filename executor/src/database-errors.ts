// Which errors of a database call say something about the data, and which only that it should be tried again.
import { SQLSTATE } from './protocol.js'
import { isInstance, readText } from './untrusted-values.js'

/** SQLSTATE of an error of the server, or undefined for anything else (a lost connection, say). */
export function sqlState(error: unknown): string | undefined {
  const code = readText(error, 'code')
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

/** Classes of errors that lie in the data of one call: two rows of one key, a value, a constraint, a view's check, a limit. */
const DATA_CLASSES = new Set(['21', '22', '23', '44', '54'])
/** What a trigger that somebody added raises. */
const RAISED = 'P0001'

/** A lock that somebody holds for long was not waited for any longer. */
const LOCKED = '55P03'
const OUT_OF_MEMORY = '53200'
/** Also what cannot be allocated, and data that is damaged. */
const INTERNAL = 'XX'

export type DatabaseTrouble = 'data' | 'too much' | 'locked' | 'retry' | 'unknown executor'

/** What to do about a failed call: look for the data that it failed for, do less at once, keep away from what is locked, try again, or register anew. */
export function troubleOf(error: unknown): DatabaseTrouble {
  const state = sqlState(error)
  if (state === SQLSTATE.unknownExecutor) return 'unknown executor'
  if (state === LOCKED) return 'locked'
  // Data that does not even fit into a message of the protocol.
  if (isInstance(error, RangeError) || isInstance(error, TypeError)) return 'data'
  if (state === OUT_OF_MEMORY || state?.startsWith(INTERNAL) === true) return 'too much'
  return state !== undefined && (state === RAISED || DATA_CLASSES.has(state.slice(0, 2))) ? 'data' : 'retry'
}
