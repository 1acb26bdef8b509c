import { afterEach, describe, expect, it } from 'vitest'
import { createDatabase, expectInvariantsZero, type TestDatabase } from './database.js'

const made: TestDatabase[] = []

async function databaseWith(rows: string): Promise<TestDatabase> {
  const database = await createDatabase({ template: 'template1' })
  made.push(database)
  await database.query(`create view public.fw_invariants (name, violations, detail) as ${rows}`)
  return database
}

afterEach(async () => {
  await Promise.all(made.splice(0).map((database) => database.drop()))
})

describe('the check of invariants', () => {
  it('passes when every row is zero', async () => {
    const { pool } = await databaseWith("values ('a', 0::bigint, null), ('b', 0, 'fine')")
    await expectInvariantsZero(pool)
  })

  it('fails and names each invariant that is violated', async () => {
    const { pool } = await databaseWith("values ('a', 0::bigint, null), ('b', 2, 'two of them')")
    const failure = await expectInvariantsZero(pool).then(() => undefined, (error: unknown) => error)
    expect(failure).toMatchObject({ actual: [{ name: 'b', violations: '2', detail: 'two of them' }] })
  })

  it('fails when nothing is checked', async () => {
    const { pool } = await databaseWith("select 'a', 0::bigint, null where false")
    await expect(expectInvariantsZero(pool)).rejects.toThrow(/has rows/)
  })
})
