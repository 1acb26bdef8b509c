// Makes errors of this package of those by which the database refuses a call of a client: with a code that stays, and the detail and
// hint of the server. Which errors pass by themselves is told here too.
import { sqlState } from './database-errors.js'
import { ExecutionStateError, RefusedError, UnknownExecutionError, UnknownStepError, WorkerError } from './errors.js'
import { SQLSTATE } from './protocol.js'
import { readText } from './untrusted-values.js'

/** A value that is none, or out of range; one that breaks a rule of a table. */
const VALUE_CLASSES = new Set(['22', '23'])
const LIMIT_CLASS = '54'

/**
 * An error of ours for one by which the server has refused a call; any other as it is.
 * @param executionId the execution that the call was about
 */
export function refusalOf(error: unknown, executionId?: string): unknown {
  const state = sqlState(error)
  if (state === undefined) return error
  const message = readText(error, 'message') ?? state
  const options = { cause: error, detail: readText(error, 'detail'), hint: readText(error, 'hint') }
  switch (state) {
    case SQLSTATE.unknownExecution:
      return executionId === undefined ? new RefusedError('UNKNOWN_EXECUTION', message, options) : new UnknownExecutionError(executionId, options)
    case SQLSTATE.unknownStep:
      return new UnknownStepError(message, options)
    case SQLSTATE.wrongState:
      return new ExecutionStateError(message, options)
    default:
      if (VALUE_CLASSES.has(state.slice(0, 2))) return new RefusedError('VALUE_REFUSED', message, options)
      return state.startsWith(LIMIT_CLASS) ? new RefusedError('LIMIT_EXCEEDED', message, options) : error
  }
}

/** The server is stopped or starts, has no connection left, or its connection was lost. */
const PASSING_STATES = /^(08...|57P0[1235]|53300)$/
const PASSING_CODES = new Set(['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN', 'ENOENT'])
const PASSING_MESSAGES = /^(Connection terminated|Connection ended|timeout expired|timeout exceeded when|Query read timeout|Client has encountered a connection error)/

/** Whether a call failed because the database was not there just then, as while it is started anew; it is worth to be asked again. */
export function isPassing(error: unknown): boolean {
  if (error instanceof WorkerError) return false
  const state = sqlState(error)
  if (state !== undefined && PASSING_STATES.test(state)) return true
  // Of a name with several addresses: one error for each.
  if (error instanceof AggregateError) return error.errors.some(isPassing)
  return PASSING_CODES.has(readText(error, 'code') ?? '') || PASSING_MESSAGES.test(readText(error, 'message') ?? '')
}
