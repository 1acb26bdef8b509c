// The log of the demos' executors. They let executions fail on purpose and tell that in their own words, so only what has nothing to do
// with one execution is shown, as a lost connection. An executor without a logger of its own writes warnings and errors as JSON lines.
import type { Logger } from 'durable-execution-worker'

const nothing = () => undefined

function show(fields: object | string, message?: string): void {
  if (typeof fields === 'string') console.error(fields)
  else if (!('executionId' in fields)) console.error(message, 'err' in fields ? fields.err : '')
}

export const log: Logger = { debug: nothing, info: nothing, warn: show, error: show }
