import { describe, expect, test } from 'vitest'
import { checkpoint, claimOne, enqueue, executor, organization, report, reportFailures, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function scene(attempt = 1) {
  const [name, organizationId] = [workflow(), await organization(database)]
  const x = await executor(database, name)
  await enqueue(database, name, organizationId)
  let held = await claimOne(database, x)
  if (attempt === 2) {
    await reportFailures(database, x, [{ ...held, delayMs: 0 }])
    held = await claimOne(database, x)
  }
  return { x, held }
}

/** It names the argument, and no column of a table. */
const REFUSED = { code: '22004', message: expect.not.stringContaining('node_id') as string }
const noSteps = async (id: string) => {
  expect(await database.query('select from public.fw_execution_steps where execution_id = $1', [id])).toEqual([])
}
const nameless = (of: object) => ({ ...of, message: expect.stringMatching(/^p_step_names or p_step_indexes has a NULL/) as string })

describe('a step without a name is refused, naming the argument, and nothing is recorded', () => {
  test.each([1, 2])('in a report of attempt %s', async (attempt) => {
    const { x, held } = await scene(attempt)
    const step = { name: null as unknown as string, index: 0, output: 1 }
    await expect(report(database, x, [{ ...held, done: false, completed: [{ ...step, name: 'good' }, step] }])).rejects.toMatchObject(nameless(REFUSED))
    await expect(report(database, x, [{ ...held, done: false, completed: [{ name: 'good', index: null as unknown as number, output: 1 }] }])).rejects.toMatchObject(nameless(REFUSED))
    await noSteps(held.execution_id)
    await report(database, x, [held])
  })

  test('in a report with a step that was recorded before', async () => {
    const { x, held } = await scene()
    const good = { name: 'good', index: 0, output: 1 }
    await report(database, x, [{ ...held, done: false, completed: [good] }])
    await expect(report(database, x, [{ ...held, done: false, completed: [good, { ...good, name: null as unknown as string }] }])).rejects.toMatchObject(nameless(REFUSED))
    await report(database, x, [held])
  })

  test('in a transaction', async () => {
    const { x, held } = await scene()
    await expect(checkpoint(database, x, held, { name: null as unknown as string, index: 0, output: 1 })).rejects.toMatchObject({ ...REFUSED, message: 'p_name must not be NULL' })
    await expect(checkpoint(database, x, held, { name: 'a', index: null as unknown as number, output: 1 })).rejects.toMatchObject({ ...REFUSED, message: 'p_step_index must not be NULL' })
    await noSteps(held.execution_id)
    await report(database, x, [held])
  })

  test.each(['fw_suspend', 'fw_begin_waits'])('in %s', async (call) => {
    const { x, held } = await scene()
    const wait = (name: string | null, index: number | null) =>
      database.query(
        `select public.${call}($1, array[$2::uuid], array[$3::uuid], array[1], array[$4::text], array[$5::integer], array[1000::bigint], array[null::timestamptz],
           array[null::text], array[null::text], array[null::jsonb], array[null::text], array[null::integer], array[null::text], array[null::integer])`,
        [x, held.execution_id, held.batch_id, name, index],
      )
    const refused = { code: '22004', message: 'p_wait_names or p_wait_indexes has a NULL, or is shorter than p_wait_items, which has 1 places' }
    await expect(wait(null, 0)).rejects.toMatchObject(refused)
    await expect(wait('a', null)).rejects.toMatchObject(refused)
    await noSteps(held.execution_id)
    await report(database, x, [held])
  })

  test('in fw_record_compensation', async () => {
    const { x, held } = await scene()
    await expect(database.query('select public.fw_record_compensation($1, $2, $3, null)', [x, held.execution_id, held.batch_id])).rejects.toMatchObject({ code: '22004', message: 'p_name must not be NULL' })
    await report(database, x, [held])
  })
})
