// Which errors of a database call say something about the data, and which only that it should be tried again.
import { SQLSTATE } from './protocol.js'

/** SQLSTATE of an error of the server, or undefined for anything else (a lost connection, say). */
export function sqlState(error: unknown): string | undefined {
  const code: unknown = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

/** Classes of errors that lie in the data of one call: numeric, syntax of a value, size, constraint. */
const DATA_CLASSES = new Set(['22', '23', '54'])

export type DatabaseTrouble = 'data' | 'retry' | 'unknown executor'

/** What to do about a failed call: blame its data, try again, or register anew. */
export function troubleOf(error: unknown): DatabaseTrouble {
  const state = sqlState(error)
  if (state === SQLSTATE.unknownExecutor) return 'unknown executor'
  return state !== undefined && DATA_CLASSES.has(state.slice(0, 2)) ? 'data' : 'retry'
}
