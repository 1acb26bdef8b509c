// What the log says of a failed attempt, once the database has decided what becomes of its execution.
import type { Logger } from './logger.js'
import type { Claim, FailureOutcome } from './protocol.js'
import type { Failed } from './thrown.js'

/** A warning when it is tried again, an error when it has failed for good. */
export function tellFailure(logger: Logger, claim: Claim, failed: Failed, { outcome, retryInMs }: FailureOutcome): void {
  const { executionId, workflowName, organizationId, attempt } = claim
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
  if (outcome === 'retry_pending') logger.warn({ ...fields, retryInMs }, 'an attempt failed, the execution is tried again')
  // It did what was wanted: its steps are undone.
  else if (claim.compensating?.status === 'cancelled') logger.info(fields, 'a cancelled execution has ended')
  else logger.error({ ...fields, permanent }, 'an attempt failed, the execution is dead-lettered')
}
