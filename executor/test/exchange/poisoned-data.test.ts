import { beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { deadLetterOf, executorDatabase, expireLease, gate, stepNames, statuses, until, untilFinished, untilStatus } from '../support/executor.js'
import { execution } from '../support/sql.js'

// What toJson lets pass the database takes, unless somebody has added a constraint or a trigger of their own.
const database = executorDatabase()
const count = 40
const inputs = Array.from({ length: count }, (_, n) => ({ n }))
const input = z.object({ n: z.number() })
const retry = { backoff: { initial: 1, max: 1 } }
let effects: number[] = []

beforeEach(() => {
  effects = []
})

async function constrained(table: string, check: string, work: () => Promise<void>): Promise<void> {
  await database.query(`alter table public.${table} add constraint poison check (${check}) not valid`)
  try {
    await work()
  } finally {
    await database.query(`alter table public.${table} drop constraint poison`)
  }
}

/** Everything that gathers behind this leaves in one group. */
function together() {
  const all = gate()
  let arrived = 0
  return async () => {
    arrived++
    if (arrived === count) all.open()
    await all.opened
  }
}

describe('one execution that the database refuses fails alone, and its neighbours in the group complete once:', () => {
  test('for its output, while its steps are kept', async () => {
    await constrained('fw_workflow_executions', `output is distinct from '"poison"'`, async () => {
      const organizationId = await database.organization()
      const wait = together()
      const poisoned = workflow({ name: 'output', input, retry }, async (ctx, { n }) => {
        await wait()
        await ctx.step('effect', () => effects.push(n))
        return n === 7 ? 'poison' : n
      })
      const ids = await database.client.enqueueMany(poisoned, inputs, { organizationId })
      await database.start(poisoned)
      await untilFinished(database, 'output')
      expect(await statuses(database, 'output')).toEqual({ live: 0, completed: count - 1, failed: 1 })
      expect(effects.sort((a, b) => a - b)).toEqual(inputs.map(({ n }) => n))
      expect(await deadLetterOf(database, ids[7] ?? '')).toMatchObject({
        attempt: 1,
        error: expect.stringContaining('violates check constraint "poison"') as string,
        error_category: 'VALIDATION',
      })
      for (const id of ids) expect(await stepNames(database, id)).toEqual(['effect'])
    })
  })

  test.each(['that rides with its completion', 'that its next step waits for'])('for the result of a step %s', async (kind) => {
    await constrained('fw_execution_steps', `output_data is distinct from '"poison"'`, async () => {
      const organizationId = await database.organization()
      const wait = together()
      const poisoned = workflow({ name: kind, input, retry }, async (ctx, { n }) => {
        await wait()
        await ctx.step('effect', () => {
          effects.push(n)
          return n === 7 ? 'poison' : n
        })
        if (kind === 'that its next step waits for') await ctx.step('next', () => n)
        return n
      })
      const ids = await database.client.enqueueMany(poisoned, inputs, { organizationId })
      await database.start(poisoned)
      await untilFinished(database, kind)
      expect(await statuses(database, kind)).toEqual({ live: 0, completed: count - 1, failed: 1 })
      expect(effects.sort((a, b) => a - b)).toEqual(inputs.map(({ n }) => n))
      expect(await deadLetterOf(database, ids[7] ?? '')).toMatchObject({ attempt: 1, error_category: 'VALIDATION' })
      expect(await stepNames(database, ids[7] ?? '')).toEqual([])
    })
  })

  test('for the result of a step, while neighbours whose attempt failed in the same group keep their steps', async () => {
    await constrained('fw_execution_steps', `output_data is distinct from '"poison"'`, async () => {
      const organizationId = await database.organization()
      const wait = together()
      const poisoned = workflow({ name: 'failing', input, retry }, async (ctx, { n }) => {
        if (ctx.attempt === 1) await wait()
        await ctx.step('effect', () => {
          effects.push(n)
          return n === 7 ? 'poison' : n
        })
        if (ctx.attempt === 1) throw new Error('after the step')
        return n
      })
      await database.client.enqueueMany(poisoned, inputs, { organizationId })
      await database.start(poisoned)
      await untilFinished(database, 'failing')
      expect(await statuses(database, 'failing')).toEqual({ live: 0, completed: count - 1, failed: 1 })
      expect(effects.sort((a, b) => a - b)).toEqual(inputs.map(({ n }) => n))
    })
  })

  test("for what a trigger of somebody's raises", async () => {
    await database.query(`create function refuse() returns trigger language plpgsql as $$ begin raise 'no poison here'; end $$`)
    await database.query(`create trigger refuse before update on public.fw_workflow_executions for each row when (new.output = '"poison"') execute function refuse()`)
    try {
      const organizationId = await database.organization()
      const wait = together()
      const poisoned = workflow({ name: 'trigger', input, retry }, async (_, { n }) => {
        await wait()
        return n === 7 ? 'poison' : n
      })
      const ids = await database.client.enqueueMany(poisoned, inputs, { organizationId })
      await database.start(poisoned)
      await untilFinished(database, 'trigger')
      expect(await statuses(database, 'trigger')).toEqual({ live: 0, completed: count - 1, failed: 1 })
      expect((await deadLetterOf(database, ids[7] ?? ''))['error']).toContain('no poison here')
    } finally {
      await database.query('drop trigger refuse on public.fw_workflow_executions')
    }
  })
})

test('an error that the database refuses is left to the lease, and its neighbours are reported', async () => {
  await constrained('fw_workflow_executions', `last_error is distinct from 'poison'`, async () => {
    const organizationId = await database.organization()
    const wait = together()
    const poisoned = workflow({ name: 'error', input, retry: { maxAttempts: 2, backoff: { initial: 1, max: 1 } } }, async (ctx, { n }) => {
      if (ctx.attempt > 1) return n
      await wait()
      throw new Error(n === 7 ? 'poison' : 'fine')
    })
    const ids = await database.client.enqueueMany(poisoned, inputs, { organizationId })
    const executor = await database.start(poisoned)
    await until('the neighbours are done', async () => (await statuses(database, 'error')).completed === count - 1)
    await until('the one is given up', () => executor.stats.fenced === 1)
    const id = ids[7] ?? ''
    expect((await execution(database, id)).status).toBe('running')
    await expireLease(database, id)
    await untilStatus(database, id, 'completed')
    expect(await execution(database, id)).toMatchObject({ retry_count: 1 })
  })
})
