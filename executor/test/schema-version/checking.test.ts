import { afterEach, describe, expect, test } from 'vitest'
import pg from 'pg'
import { z } from 'zod'
import { SchemaVersionError } from '../../src/errors.js'
import { checkSchemaVersion } from '../../src/schema-version.js'
import { workflow } from '../../src/workflow.js'
import { createDatabase } from '../support/database.js'
import { executorDatabase } from '../support/executor.js'

const database = executorDatabase()
const nothing = workflow({ name: 'nothing', input: z.object({}) }, () => undefined)

const serve = (current: number, oldest: number) =>
  database.query(`create or replace function public.fw_api_version(out current integer, out oldest_supported integer) language sql as 'select ${current}, ${oldest}'`)

afterEach(() => serve(1, 1))

describe('a database', () => {
  test.each([
    [4, 4],
    [5, 4],
    [4, 1],
  ])('that serves the SQL API from version %s back to %s is good', async (current, oldest) => {
    await serve(current, oldest)
    await checkSchemaVersion(database.pool)
  })

  test.each([
    ['SCHEMA_NEWER', 6, 5, /serves versions 5 to 6 .* speaks 4: upgrade durable-execution-worker/],
    ['SCHEMA_OLDER', 3, 1, /serves version 3 .* speaks 4: run `fw migrate`/],
  ])('%s, with versions %s and %s, is refused before the executor registers, and told what to do', async (code, current, oldest, message) => {
    await serve(current, oldest)
    const executor = database.executor(nothing)
    const failure = await executor.start().catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(SchemaVersionError)
    expect(failure).toMatchObject({ code, message: expect.stringMatching(message) as string })
    expect(await database.query('select 1 from public.fw_executors')).toEqual([])
  })

  test('without the worker is SCHEMA_MISSING', async () => {
    const empty = await createDatabase({ template: 'template1' })
    try {
      await expect(checkSchemaVersion(empty.pool)).rejects.toMatchObject({ code: 'SCHEMA_MISSING', message: expect.stringContaining('run `fw migrate`') as string })
    } finally {
      await empty.drop()
    }
  })

  test('that cannot be asked is not taken for one without the worker', async () => {
    const pool = new pg.Pool({ connectionString: 'postgres://nobody@127.0.0.1:1/none' })
    const failure = await checkSchemaVersion(pool).catch((error: unknown) => error)
    await pool.end()
    expect(failure).not.toBeInstanceOf(SchemaVersionError)
    expect(failure).toMatchObject({ code: 'ECONNREFUSED' })
  })
})
