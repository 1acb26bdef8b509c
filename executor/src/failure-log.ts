// What the log says of a failed attempt, once the database has decided what becomes of its execution.
import type { Logger } from './logger.js'
import type { Claim, FailureOutcome } from './protocol.js'
import type { Failed } from './thrown.js'

/** A warning when the execution goes on, an error when it has failed for good. */
export function tellFailure(logger: Logger, claim: Claim, failed: Failed, { outcome, retryInMs }: FailureOutcome): void {
  const { executionId, workflowName, organizationId, attempt, compensating } = claim
  const { error, category, permanent, step, stack } = failed
  const fields = {
    executionId,
    workflowName,
    organizationId,
    attempt,
    ...(step === undefined ? {} : { step }),
    category,
    err: { message: error, ...(stack === undefined ? {} : { stack }) },
  }
  if (compensating !== undefined && error === compensating.error) {
    // It has done what was decided: its steps are undone.
    if (compensating.status === 'cancelled') logger.info(fields, 'a cancelled execution was undone and has ended')
    else logger.error(fields, 'an execution that has failed for good was undone and has ended')
  } else if (outcome === 'retry_pending') {
    logger.warn({ ...fields, retryInMs }, `${whatFailed(compensating)}, the execution ${permanent ? 'has failed for good and is undone' : 'is tried again'}`)
  } else {
    logger.error({ ...fields, permanent }, `${whatFailed(compensating)}, the execution has ended for good`)
  }
}

function whatFailed(compensating: Claim['compensating']): string {
  return compensating === undefined ? 'an attempt failed' : 'a compensation failed'
}
