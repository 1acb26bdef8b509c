// A Client for one command.
import { Client } from '../client.js'
import { ownPool } from '../connections.js'
import { UnknownExecutionError } from '../errors.js'
import type { ClientWarning } from '../obstacles.js'
import { databaseUrl, type DatabaseOptions, withDatabase } from './database.js'
import { EXIT } from './exit-codes.js'
import { CommandFailure } from './failure.js'
import { note } from './output.js'

/** @param warn gets what keeps an execution that is waited for from starting. Default: a line on standard error */
export async function withClient<Result>(
  options: DatabaseOptions,
  work: (client: Client) => Promise<Result>,
  warn: (warning: ClientWarning) => void = ({ message }) => {
    note(`warning: ${message}`)
  },
): Promise<Result> {
  const url = databaseUrl(options)
  // For an error that says what is wrong with the connection.
  await withDatabase(url, () => Promise.resolve())
  const pool = ownPool({ connectionString: url, max: 1, application_name: 'fw cli' })
  try {
    const client = new Client({ pool, onWarning: warn })
    const result = await work(client)
    await client.close()
    return result
  } catch (error) {
    if (error instanceof UnknownExecutionError) throw new CommandFailure(EXIT.failed, error.message, { cause: error })
    throw error
  } finally {
    await pool.end()
  }
}
