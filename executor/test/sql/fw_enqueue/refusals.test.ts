import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { contents, organization, sqlDatabase } from '../../support/sql.js'

const database = sqlDatabase()

describe('an enqueue is refused, says why and enqueues nothing,', () => {
  const refusals: [string, string, string][] = [
    ['without a workflow', `fw_enqueue(null, '{}', $1)`, 'the workflow name must not be NULL'],
    ['with an empty workflow name', `fw_enqueue('', '{}', $1)`, 'the workflow name has 0 characters, outside 1 to 200'],
    ['with a workflow name of 201 characters', `fw_enqueue(repeat('n', 201), '{}', $1)`, 'the workflow name has 201 characters, outside 1 to 200'],
    ['without an input', `fw_enqueue('w', null, $1)`, `the input of workflow 'w' at position 1 is NULL`],
    ['without an organization', `fw_enqueue('w', '{}', nullif($1::uuid, $1::uuid))`, 'p_organization_id must not be NULL'],
    ['with an empty idempotency key', `fw_enqueue('w', '{}', $1, '')`, 'an idempotency key has a length outside 1 to 500 characters'],
    ['with an idempotency key of 501 characters', `fw_enqueue('w', '{}', $1, repeat('k', 501))`, 'an idempotency key has a length outside 1 to 500 characters'],
    ['with a negative delay', `fw_enqueue('w', '{}', $1, p_delay => '-1 second')`, 'the delay -00:00:01 is outside 0 to 100 years'],
    ['with a delay beyond 100 years', `fw_enqueue('w', '{}', $1, p_delay => '101 years')`, 'the delay 101 years is outside 0 to 100 years'],
    ['with NULL for the delay', `fw_enqueue('w', '{}', $1, p_delay => null)`, 'the delay NULL is outside 0 to 100 years'],
    ['without an array of inputs', `fw_enqueue_many('w', null, $1)`, 'p_inputs must not be NULL'],
    ['with NULL for the second input', `fw_enqueue_many('w', array['1', null, '3']::jsonb[], $1)`, `the input of workflow 'w' at position 2 is NULL`],
    ['with fewer keys than inputs', `fw_enqueue_many('w', array['1', '2']::jsonb[], $1, array['k'])`, '1 idempotency keys for 2 inputs'],
    ['with more keys than inputs', `fw_enqueue_many('w', array['1']::jsonb[], $1, array['k', null])`, '2 idempotency keys for 1 inputs'],
    ['with one bad key among good ones', `fw_enqueue_many('w', array['1', '2']::jsonb[], $1, array['k', ''])`, 'an idempotency key has a length outside 1 to 500 characters'],
  ]
  test.for(refusals)('%s', async ([, call, message]) => {
    const before = await contents(database)
    await expect(database.query(`select public.${call}`, [randomUUID()])).rejects.toMatchObject({
      code: '22023',
      message,
      hint: expect.stringMatching(/.+/) as unknown,
    })
    expect(await contents(database)).toEqual(before)
  })
})

test('the longest allowed names, keys and delays are taken', async () => {
  const organizationId = await organization(database)
  await database.query(`select public.fw_enqueue(repeat('n', 200), '{}', $1, repeat('k', 500), '100 years')`, [organizationId])
  await database.query(`select public.fw_enqueue('n', '{}', $1, 'k', '0')`, [organizationId])
  const rows = await database.query('select from public.fw_workflow_executions where organization_id = $1', [organizationId])
  expect(rows).toHaveLength(2)
})
