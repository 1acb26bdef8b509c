// Waits for an execution to finish and prints its result: what `fw enqueue --wait` and `fw executions result` do.
import type { Client } from '../client.js'
import { ExecutionFailedError } from '../errors.js'
import { printJson } from './output.js'

/** How long is waited when nobody says. */
export const WAIT_MS = 60_000

/**
 * @param timeout milliseconds
 * @param json prints an object with the id and the status, also of an execution that failed
 * @throws what Client.result() throws
 */
export async function printResult(client: Client, id: string, timeout: number, json: boolean): Promise<void> {
  try {
    const output = await client.result(id, { timeout })
    if (json) printJson({ id, status: 'completed', output })
    else printJson(output)
  } catch (error) {
    if (json && error instanceof ExecutionFailedError) {
      printJson({ id, status: error.status, error: error.message, errorCategory: error.category })
    }
    throw error
  }
}
