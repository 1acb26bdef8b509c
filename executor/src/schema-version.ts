// Whether the SQL API of a database and this package fit together, asked before an executor starts.
import { z } from 'zod'
import { sqlState } from './database-errors.js'
import { SchemaVersionError } from './errors.js'
import { type Queryable, SPOKEN } from './protocol.js'


const answer = z.object({ current: z.int(), oldest_supported: z.int() })
const UNDEFINED_FUNCTION = '42883'

/** @throws SchemaVersionError */
export async function checkSchemaVersion(sql: Queryable): Promise<void> {
  const { current, oldest_supported: oldest } = await ask(sql)
  if (oldest > SPOKEN) {
    throw new SchemaVersionError(
      'SCHEMA_NEWER',
      `the database serves versions ${oldest} to ${current} of the SQL API, this executor speaks ${SPOKEN}: upgrade durable-execution-worker`,
    )
  }
  if (current < SPOKEN) {
    throw new SchemaVersionError(
      'SCHEMA_OLDER',
      `the database serves version ${current} of the SQL API, this executor speaks ${SPOKEN}: run \`fw migrate\``,
    )
  }
}

async function ask(sql: Queryable): Promise<z.infer<typeof answer>> {
  try {
    const { rows } = await sql.query('select * from public.fw_api_version()')
    return answer.parse(rows[0])
  } catch (error) {
    if (sqlState(error) !== UNDEFINED_FUNCTION) throw error
    throw new SchemaVersionError('SCHEMA_MISSING', 'the database has no durable execution worker: run `fw migrate`', { cause: error })
  }
}
