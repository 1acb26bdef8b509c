// A log without what the redactor takes out. An error of the driver says more than its message: the row that was refused, the values of a
// query, where in a function it happened.
import type { Logger } from './logger.js'
import { type RecordedError, recordError } from './recorded-error.js'
import { isError } from './untrusted-values.js'

type Redact = (text: string) => string
type Change = (value: unknown) => unknown

/** For what the executor itself says: errors are redacted with all that they carry. Its own words and ids stay. */
export function withRedactedErrors(logger: Logger, redact: Redact): Logger {
  return changed(logger, (value) => (isError(value) ? loggable(recordError(value, redact)) : value), (text) => text, (name) => name)
}

/** For what handlers say: every text is redacted, names of fields too, and errors are. */
export function redacted(logger: Logger, redact: Redact): Logger {
  return changed(logger, (value) => everyText(value, redact, 0), redact, redact)
}

function changed(logger: Logger, change: Change, words: Redact, names: Redact): Logger {
  const all = (fields: object) => Object.fromEntries(Object.entries(fields).map(([name, value]) => [names(name), change(value)]))
  return {
    debug: (fields, message) => {
      logger.debug(all(fields), words(message))
    },
    info: (fields, message) => {
      logger.info(all(fields), words(message))
    },
    warn: (fields, message) => {
      if (typeof fields === 'string') logger.warn(words(fields))
      else logger.warn(all(fields), message === undefined ? undefined : words(message))
    },
    error: (fields, message) => {
      logger.error(all(fields), words(message))
    },
  }
}

const DEEPEST = 6

function everyText(value: unknown, redact: Redact, depth: number): unknown {
  if (typeof value === 'string') return redact(value)
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  if (isError(value)) return loggable(recordError(value, redact))
  if (depth >= DEEPEST) return '…'
  try {
    if (Array.isArray(value)) return value.map((each) => everyText(each, redact, depth + 1))
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [redact(name), everyText(each, redact, depth + 1)]))
  } catch {
    return 'a value that cannot be looked at'
  }
}

/** As pino writes an error. */
function loggable({ name, message, stack, properties, cause, errors, thrown }: RecordedError): object {
  return {
    type: name ?? 'Error',
    message,
    ...(stack === undefined ? {} : { stack }),
    ...properties,
    ...(thrown === undefined ? {} : { thrown: thrown.value }),
    ...(cause === undefined ? {} : { cause: loggable(cause) }),
    ...(errors === undefined ? {} : { errors: errors.map(loggable) }),
  }
}
