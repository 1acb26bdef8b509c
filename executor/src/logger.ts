// Where the executor writes what an operator may want to know. Any pino logger fits.
import { destination, pino } from 'pino'

export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object | string, message?: string): void
  error(fields: object, message: string): void
}

/** Warnings and errors, as JSON lines on standard error. FW_LOG_LEVEL sets another level. */
export function defaultLogger(): Logger {
  return pino({ name: 'fw', level: process.env['FW_LOG_LEVEL'] ?? 'warn' }, destination({ dest: 2, sync: true }))
}
