// The error of an execution whose results together are larger than the limit.
import { PermanentError } from './errors.js'

/** The results of an execution together are larger than the limit. */
export function tooMuch(executionId: string, characters: number, limit: number): PermanentError {
  return new PermanentError(
    `all results of execution ${executionId} together have ${characters} characters, more than results_limit, which is ${limit}: let steps return less, ` +
      'and keep what is large elsewhere. Or raise the limit: update fw_worker_config set results_limit = ...; and put the dead letter back',
    { category: 'VALIDATION' },
  )
}
