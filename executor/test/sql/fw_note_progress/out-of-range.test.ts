import { expect, test } from 'vitest'
import { Client } from '../../../src/client.js'
import { claim, claimOne, enqueue, executor, organization, report, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function scene(count: number) {
  const [name, organizationId] = [workflow(), await organization(database)]
  const x = await executor(database, name)
  await enqueue(database, name, organizationId, count)
  const held = count === 1 ? [await claimOne(database, x)] : await claim(database, x)
  return { x, organizationId, held, ids: held.map((each) => each.execution_id), batches: held.map((each) => each.batch_id) }
}

const progress = async (ids: string[]) =>
  (await database.query<{ progress: number | null }>('select progress from unnest($1::uuid[]) with ordinality as i (id, n) join public.fw_workflow_executions e using (id) order by n', [ids])).map((row) => row.progress)

test('of what is noted together NaN changes nothing, what is outside 0 to 1 is cut, and the others are noted', async () => {
  const { x, held, ids, batches } = await scene(6)
  const note = (values: string) => database.query('select public.fw_note_progress($1, $2, $3, $4::real[], $5::text[])', [x, ids, batches, values, ids.map(() => 'said')])
  await note('{0.5,0.5,0.5,0.5,0.5,0.5}')
  await note('{NaN,Infinity,-Infinity,-1,0.25,NULL}')
  expect(await progress(ids)).toEqual([0.5, 1, 0, 0, 0.25, null])
  await report(database, x, held)
})

test('one alone is treated the same', async () => {
  const { x, held, ids, batches } = await scene(1)
  const set = (value: string) => database.query('select public.fw_set_progress($1, $2, $3, $4::real, $5)', [x, ids[0], batches[0], value, 'said'])
  await set('0.5')
  await set('NaN')
  expect(await progress(ids)).toEqual([0.5])
  await set('7')
  expect(await progress(ids)).toEqual([1])
  await report(database, x, held)
})

test.each(['NaN', 'Infinity', '-1'])('a progress of %s that is there already spoils neither a list nor a look', async (value) => {
  const { x, held, organizationId, ids } = await scene(2)
  await database.query('update public.fw_workflow_executions set progress = $2::real where id = $1', [ids[0], value])
  const client = new Client({ pool: database.pool })
  expect((await client.list({ organizationId })).map((each) => each.progress)).toEqual([null, null])
  expect(await client.get(ids[0] ?? '')).toMatchObject({ progress: null })
  await report(database, x, held)
})
