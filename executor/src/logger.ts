// Where the executor writes what an operator may want to know. Any pino logger fits.
import { destination, pino } from 'pino'
import { printableJson } from './printable.js'

export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object | string, message?: string): void
  error(fields: object, message: string): void
}

/** Warnings and errors, as JSON lines on standard error. FW_LOG_LEVEL sets another level. */
export function defaultLogger(): Logger {
  return pino({ name: 'fw', level: process.env['FW_LOG_LEVEL'] ?? 'warn' }, standardError())
}

/** Standard error, for JSON lines: it may be a terminal, so what would steer one is escaped. */
export function standardError(): { write: (line: string) => void } {
  const stream = destination({ dest: 2, sync: true })
  return { write: (line) => stream.write(printableJson(line)) }
}

/** A logger whose lines carry these fields too. */
export function boundLogger(logger: Logger, bound: object): Logger {
  return {
    debug: (fields, message) => {
      logger.debug({ ...bound, ...fields }, message)
    },
    info: (fields, message) => {
      logger.info({ ...bound, ...fields }, message)
    },
    warn: (fields, message) => {
      if (typeof fields === 'string') logger.warn(bound, fields)
      else logger.warn({ ...bound, ...fields }, message)
    },
    error: (fields, message) => {
      logger.error({ ...bound, ...fields }, message)
    },
  }
}
