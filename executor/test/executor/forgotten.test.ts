import { expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { executorDatabase } from '../support/executor.js'

const database = executorDatabase()
const echo = workflow({ name: 'echo', input: z.object({ n: z.number() }) }, (_, { n }) => n)

test('an executor that the database has forgotten registers anew and goes on', async () => {
  const organizationId = await database.organization()
  await database.start(echo, { pollInterval: '100ms', name: 'forgettable' })
  const first = await database.client.enqueue(echo, { n: 1 }, { organizationId })
  expect(await database.client.result(first)).toBe(1)
  const gone = await database.query<{ id: string }>('delete from public.fw_executors returning id')
  const second = await database.client.enqueue(echo, { n: 2 }, { organizationId })
  expect(await database.client.result(second)).toBe(2)
  const now = await database.query<{ id: string; name: string; workflows: string[] }>('select id, name, workflows from public.fw_executors')
  expect(now).toEqual([{ id: expect.not.stringMatching(gone[0]?.id ?? 'nothing') as string, name: 'forgettable', workflows: ['echo'] }])
})
