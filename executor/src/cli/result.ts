// Waits for an execution to finish and prints its result: what `fw enqueue --wait` and `fw executions result` do.
import pg from 'pg'
import { Client } from '../client.js'
import { ExecutionFailedError } from '../errors.js'
import { printJson } from './output.js'

/** How long is waited when nobody says. */
export const WAIT_MS = 60_000

/**
 * @param timeout milliseconds
 * @param json prints an object with the id and the status, also of an execution that failed
 * @throws what Client.result() throws
 */
export async function printResult(url: string, id: string, timeout: number, json: boolean): Promise<void> {
  const pool = new pg.Pool({ connectionString: url, max: 1, application_name: 'fw cli' })
  pool.on('error', () => undefined)
  try {
    const output = await new Client({ pool }).result(id, { timeout })
    if (json) printJson({ id, status: 'completed', output })
    else printJson(output)
  } catch (error) {
    if (json && error instanceof ExecutionFailedError) {
      printJson({ id, status: error.status, error: error.message, errorCategory: error.category })
    }
    throw error
  } finally {
    await pool.end()
  }
}
