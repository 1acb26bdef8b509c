import { expect, test } from 'vitest'
import { rowsRead, watchedSession } from '../../support/plans.js'
import { claim, enqueue, executor, organization, sqlDatabase, workflow, type Claimed, type Queryable } from '../../support/sql.js'

const database = sqlDatabase()
const name = workflow()

async function suspend(on: Queryable, x: string, held: readonly Claimed[]): Promise<void> {
  const nothing = held.map(() => null)
  await on.query(
    'select * from public.fw_suspend($1, $2::uuid[], $3::uuid[], $4::integer[], $5::text[], $6::integer[], $7::bigint[], $8::timestamptz[], $9::text[], $10::text[], $11::jsonb[], $12::text[], $13::integer[])',
    [x, held.map((e) => e.execution_id), held.map((e) => e.batch_id), held.map((_, i) => i + 1), held.map(() => 'event'), held.map(() => 0),
      nothing, nothing, held.map((e) => `event of ${e.execution_id}`), nothing, nothing, nothing, nothing],
  )
}

test('a session that planned fw_suspend while the analysed table was small reads as many steps later', async () => {
  const organizationId = await organization(database, { batchSize: 50, concurrency: 100 })
  const watched = await watchedSession(database)
  const x = await executor(watched.on, name)
  await enqueue(database, name, organizationId, 11)
  await suspend(watched.on, x, await claim(watched.on, x, 1))
  await database.query('vacuum analyze')
  await suspend(watched.on, x, await claim(watched.on, x, 10))
  await enqueue(database, name, organizationId, 20_000)
  for (let made = 0; made < 20_000 - 10; made += 1000) await suspend(database, x, await claim(database, x, Math.min(1000, 19_990 - made)))
  const large = await watched.plansOf(async () => suspend(watched.on, x, await claim(watched.on, x, 10)))
  await watched.end()
  expect(rowsRead(large, 'fw_execution_steps')).toBeLessThan(100)
})
