// A Client for one command.
import { Client } from '../client.js'
import { ownPool } from '../connections.js'
import { sqlState } from '../database-errors.js'
import { UnknownExecutionError } from '../errors.js'
import { databaseUrl, type DatabaseOptions, withDatabase } from './database.js'
import { EXIT } from './exit-codes.js'
import { CommandFailure } from './failure.js'

export async function withClient<Result>(options: DatabaseOptions, work: (client: Client) => Promise<Result>): Promise<Result> {
  const url = databaseUrl(options)
  // For an error that says what is wrong with the connection.
  await withDatabase(url, () => Promise.resolve())
  const pool = ownPool({ connectionString: url, max: 1, application_name: 'fw cli' })
  try {
    return await work(new Client({ pool }))
  } catch (error) {
    if (error instanceof UnknownExecutionError || sqlState(error) === 'FW003') {
      throw new CommandFailure(EXIT.failed, error instanceof Error ? error.message : 'there is no such execution', { cause: error })
    }
    throw error
  } finally {
    await pool.end()
  }
}
