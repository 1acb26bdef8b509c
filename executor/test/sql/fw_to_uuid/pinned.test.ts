import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { one, sqlDatabase, withSessions } from '../../support/sql.js'

const database = sqlDatabase()

// What a caller might have before pg_catalog in its search_path: an operator and a type of the names that the function needs.
beforeAll(async () => {
  await database.query('create schema trap')
  await database.query("create function trap.says_yes(text, text) returns boolean language sql immutable as 'select true'")
  await database.query('create operator trap.~ (leftarg = text, rightarg = text, function = trap.says_yes)')
  await database.query('create domain trap.uuid as text')
})

afterAll(async () => {
  await database.query('drop schema trap cascade')
})

test('what a caller has in its search_path does not change what counts as a uuid', async () => {
  const id = randomUUID()
  await withSessions(database, 1, async (session) => {
    await session.query('set search_path = trap, pg_catalog')
    expect(one(await session.query("select public.fw_to_uuid('no uuid') as wrong, public.fw_to_uuid($1) as id", [id]))).toEqual({ wrong: null, id })
  })
})

test('it is inlined, so a query by it has the plan of the expression itself', async () => {
  const plan = await database.query<Record<'QUERY PLAN', string>>("explain (verbose, costs off) select public.fw_to_uuid(q.message ->> 'execution_id') from pgmq.q_workflow_execution_queue q")
  expect(plan.map((row) => row['QUERY PLAN']).join('\n')).not.toContain('fw_to_uuid')
})
