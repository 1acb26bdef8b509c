import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { PermanentError } from '../../src/errors.js'
import { type Workflow, workflow } from '../../src/workflow.js'
import { deadLetterOf, executorDatabase, expireLease, gate, until, untilStatus } from '../support/executor.js'
import { saga, stepStates, undone } from '../support/saga.js'
import { execution } from '../support/sql.js'

const database = executorDatabase()
const nothing = z.object({})
const ALL = ['undo c1', 'undo b1', 'undo a1']

const enqueue = async (definition: Workflow<Record<string, never>>) => await database.client.enqueue(definition, {}, { organizationId: await database.organization() })
const fail = () => {
  throw new PermanentError('out of stock')
}

describe('what was completed is undone first, whatever ends the execution for good:', () => {
  test('an output that is not JSON', async () => {
    const { definition, log } = saga('bigint', () => 1n)
    await database.start(definition)
    const id = await enqueue(definition)
    await expect(database.client.result(id)).rejects.toMatchObject({ status: 'failed', category: 'VALIDATION' })
    expect(undone(log)).toEqual(ALL)
    expect(await deadLetterOf(database, id)).toMatchObject({ compensated: ['c', 'b', 'a'], not_compensated: [], attempt: 1 })
    // One attempt has failed; that it was undone is no other one.
    expect(await database.query('select attempt, outcome from public.fw_failed_attempts where execution_id = $1', [id])).toEqual([{ attempt: 1, outcome: 'compensating' }])
  })

  test('an output that the database does not take', async () => {
    await database.query(`alter table public.fw_workflow_executions add constraint poison check (output is distinct from '"poison"') not valid`)
    try {
      const { definition, log } = saga('poison', () => 'poison')
      await database.start(definition)
      const id = await enqueue(definition)
      await expect(database.client.result(id)).rejects.toThrow(/the database did not take the result: .*; compensated: c, b, a$/)
      expect(undone(log)).toEqual(ALL)
    } finally {
      await database.query('alter table public.fw_workflow_executions drop constraint poison')
    }
  })

  test('a result of a step that the database does not take', async () => {
    await database.query(`alter table public.fw_execution_steps add constraint poison check (output_data is distinct from '"poison"') not valid`)
    try {
      const { definition, log } = saga('poisoned step', async (ctx) => {
        await ctx.step('last', () => 'poison', { compensate: () => log.push('undo last') })
      })
      await database.start(definition)
      const id = await enqueue(definition)
      await expect(database.client.result(id)).rejects.toThrow(/the database did not take the result: .*; compensated: c, b, a$/)
      // It has run, but is not recorded as completed.
      expect(undone(log)).toEqual(ALL)
    } finally {
      await database.query('alter table public.fw_execution_steps drop constraint poison')
    }
  })

  test('an input that does not fit its schema any more', async () => {
    let isStrict = false
    const definition = workflow({ name: 'strict', input: z.object({}).refine(() => !isStrict, 'no'), retry: { maxAttempts: 1 } }, async (ctx) => {
      await ctx.step('a', () => 1, { compensate: () => 1 })
      await ctx.sleep(50)
    })
    await database.start(definition)
    const id = await enqueue(definition)
    await untilStatus(database, id, 'waiting')
    isStrict = true
    // The handler is not called, so how to undo is not known here; another executor may know it.
    await until('its compensation was tried', async () => (await execution(database, id)).last_error?.includes('its compensation did not finish') === true)
    isStrict = false
    await expect(database.client.result(id)).rejects.toThrow(/no; compensated: a$/)
  })
})

describe('how often an execution is tried is for the database to say, not for an executor:', () => {
  const twice = (name: string, maxAttempts: number, log: string[]) =>
    saga(name, (ctx) => ctx.step('last', () => {
      log.push('try')
      throw new Error('never')
    }), { retry: { maxAttempts, backoff: { initial: 0 } }, log }).definition

  test('one that was started with fewer attempts undoes nothing before the attempts of the one that was started last', async () => {
    const log: string[] = []
    const first = await database.start(twice('more', 1, log))
    const other = await database.start(twice('more', 3, log))
    await other.stop()
    const id = await enqueue(twice('more', 1, log))
    await expect(database.client.result(id)).rejects.toThrow('never; compensated: c, b, a')
    expect(log.filter((line) => line === 'try')).toHaveLength(3)
    expect(undone(log)).toEqual(ALL)
    expect(first.stats.inFlight).toBe(0)
  })

  test('one that was started with more attempts undoes after the fewer of the one that was started last', async () => {
    const log: string[] = []
    await database.start(twice('fewer', 5, log))
    const other = await database.start(twice('fewer', 1, log))
    await other.stop()
    const id = await enqueue(twice('fewer', 5, log))
    await expect(database.client.result(id)).rejects.toThrow('never; compensated: c, b, a')
    expect(log.filter((line) => line === 'try')).toHaveLength(1)
    expect(undone(log)).toEqual(ALL)
  })
})

describe('an executor that has not run the steps', () => {
  test('undoes them, with the results that were recorded', async () => {
    const log: string[] = []
    const running = gate()
    const there = (isFirst: boolean) =>
      saga('moved', async (ctx) => {
        await ctx.step('last', async ({ signal }) => {
          running.open()
          if (isFirst) await sleep(60_000, undefined, { signal })
        })
      }, { log: isFirst ? [] : log }).definition
    const first = await database.start(there(true))
    const id = await enqueue(there(true))
    await running.opened
    expect(await database.client.cancel(id, undefined, { compensate: true })).toBe(true)
    await first.stop({ timeout: 0 })
    await database.start(there(false))
    await expect(database.client.result(id)).rejects.toMatchObject({ status: 'cancelled' })
    expect(log).toEqual(ALL)
  })

  test('and whose code has no compensation for one of them undoes what came after it, and leaves the rest to one that has', async () => {
    const log: string[] = []
    const failing = gate()
    const old = saga('other code', async () => {
      await failing.opened
      fail()
    }, { log })
    const changed = workflow({ name: 'other code', input: nothing }, async (ctx) => {
      await ctx.step('a', () => 'a1', { compensate: (result) => log.push(`undo ${result} in other code`) })
      await ctx.step('b', () => 'b1')
      await ctx.step('c', () => 'c1', { compensate: (result) => log.push(`undo ${result} in other code`) })
    })
    const first = await database.start(old.definition)
    const id = await enqueue(old.definition)
    await until('its steps are recorded', async () => (await stepStates(database, id))['b'] === 'completed')
    await first.stop({ timeout: 0 })
    const second = await database.start(changed)
    await database.client.fail(id, 'it is not wanted')
    await until('it was tried', async () => (await execution(database, id)).last_error?.includes(`the compensation of 'b' was not found`) === true)
    await second.stop()
    await database.start(old.definition)
    await expect(database.client.result(id)).rejects.toThrow('failed by hand: it is not wanted; compensated: c, b, a')
    expect(undone(log)).toEqual(['undo c1 in other code', 'undo b1', 'undo a1'])
  })
})

describe('a compensation that fails', () => {
  test('in all its tries ends the execution, and the dead letter names what was undone and what was not', async () => {
    let tries = 0
    const { definition, log } = saga('stuck', fail, {
      fails: (step) => {
        if (step !== 'b') return
        tries++
        throw new Error('the bank is closed')
      },
      compensateOptions: { retry: { maxAttempts: 3, backoff: { initial: 1 } } },
    })
    await database.start(definition)
    const id = await enqueue(definition)
    const error = "out of stock; the compensation of 'b' failed: the bank is closed; compensated: c; not compensated: b, a"
    await expect(database.client.result(id)).rejects.toThrow(error)
    expect(tries).toBe(3)
    expect(undone(log)).toEqual(['undo c1'])
    expect(await deadLetterOf(database, id)).toMatchObject({ error, compensated: ['c'], not_compensated: ['b', 'a'], attempt: 1, error_category: 'RUNTIME' })
    expect(await stepStates(database, id)).toEqual({ a: 'completed', b: 'completed', c: 'compensated' })
  })

  test('because its executor is lost every time ends after five attempts of its own', async () => {
    let reached = gate()
    const { definition, log } = saga('lost', fail, {
      fails: async (step) => {
        if (step !== 'b') return
        reached.open()
        await new Promise(() => undefined)
      },
    })
    await database.start(definition)
    const id = await enqueue(definition)
    for (let attempt = 1; attempt <= 5; attempt++) {
      await reached.opened
      reached = gate()
      await expireLease(database, id)
    }
    const error = 'out of stock; its compensation did not finish: the lease ran out before the executor reported; compensated: c; not compensated: b, a'
    await expect(database.client.result(id)).rejects.toThrow(error)
    expect(undone(log)).toEqual(['undo c1'])
    expect(await deadLetterOf(database, id)).toMatchObject({ error, compensated: ['c'], not_compensated: ['b', 'a'], attempt: 1 })
  })
})

describe('of steps side by side', () => {
  test('all that were completed are undone, also in a branch that has come further than the one that failed', async () => {
    const log: string[] = []
    const ready = gate()
    const definition = workflow({ name: 'branches', input: nothing, retry: { maxAttempts: 1 } }, async (ctx) => {
      const noted = (name: string) => ctx.step(name, () => name, { compensate: (result) => log.push(`undo ${result}`) })
      const long = async () => {
        for (let step = 1; step <= 6; step++) await noted(`long ${step}`)
        ready.open()
      }
      const short = async () => {
        await noted('short')
        await ctx.step('fails', async () => {
          await ready.opened
          fail()
        })
      }
      await Promise.all([short(), long()])
    })
    await database.start(definition)
    const id = await enqueue(definition)
    await expect(database.client.result(id)).rejects.toThrow('out of stock; compensated: long 6, ')
    expect(log.toSorted()).toEqual(['undo long 1', 'undo long 2', 'undo long 3', 'undo long 4', 'undo long 5', 'undo long 6', 'undo short'])
    expect(await deadLetterOf(database, id)).toMatchObject({ compensated: log.map((line) => line.slice('undo '.length)), not_compensated: [] })
  })

  test('all are undone, though a wait beside them is given up', async () => {
    const log: string[] = []
    const definition = workflow({ name: 'waits beside', input: nothing }, async (ctx) => {
      const noted = (name: string) => ctx.step(name, () => name, { compensate: (result) => log.push(`undo ${result}`) })
      const steps = async () => {
        for (let step = 1; step <= 5; step++) await noted(`step ${step}`)
        await ctx.sleep('1h')
      }
      await Promise.all([ctx.waitForEvent('never', { timeout: '1d' }), ctx.sleep('2h'), steps()])
    })
    await database.start(definition)
    const id = await enqueue(definition)
    await untilStatus(database, id, 'waiting')
    await database.client.fail(id, 'it takes too long')
    await expect(database.client.result(id)).rejects.toThrow('failed by hand: it takes too long; compensated: step 5, step 4, step 3, step 2, step 1')
    expect(log).toEqual(['undo step 5', 'undo step 4', 'undo step 3', 'undo step 2', 'undo step 1'])
  })

  test('one that completed after its handler had failed is undone too', async () => {
    const log: string[] = []
    const failed = gate()
    const definition = workflow({ name: 'forgotten', input: nothing, retry: { maxAttempts: 1 } }, async (ctx) => {
      await ctx.step('first', () => 'first', { compensate: (result) => log.push(`undo ${result}`) })
      void ctx.step('late', async () => {
        await failed.opened
        await sleep(20)
        return 'late'
      }, { compensate: (result) => log.push(`undo ${result}`) })
      await ctx.step('fails', () => {
        failed.open()
        fail()
      })
    })
    await database.start(definition)
    const id = await enqueue(definition)
    await expect(database.client.result(id)).rejects.toThrow('out of stock; compensated: late, first')
    expect(log).toEqual(['undo late', 'undo first'])
  })
})

test('while it is undone it runs no step, transaction, wait or child that had not happened', async () => {
  const log: string[] = []
  let calls = 0
  const child = workflow({ name: 'child of the undone', input: nothing }, () => log.push('child'))
  const definition = workflow({ name: 'nothing new', input: nothing, retry: { maxAttempts: 1 } }, async (ctx) => {
    await ctx.step('a', () => 1, { compensate: () => log.push('undo a') })
    if (++calls === 1) fail()
    await Promise.all([
      ctx.step('b', () => log.push('b'), { compensate: () => log.push('undo b') }),
      ctx.transaction('book', (sql) => sql.query('create table booked ()')),
      ctx.invoke(child, {}),
      ctx.map([1, 2], () => log.push('map')),
      ctx.sleep(1),
    ])
  })
  await database.start([definition, child])
  const id = await enqueue(definition)
  await expect(database.client.result(id)).rejects.toThrow('out of stock; compensated: a')
  expect(calls).toBe(2)
  expect(log).toEqual(['undo a'])
  expect(await database.query("select 1 from pg_class where relname = 'booked'")).toEqual([])
  expect(await database.query('select 1 from public.fw_workflow_executions where parent_id = $1', [id])).toEqual([])
  expect(await stepStates(database, id)).toEqual({ a: 'compensated' })
})

test('an execution that waits for the result of one that is undone hears of its end, and not before', async () => {
  const reached = gate()
  const go = gate()
  const child = saga('undone child', fail, {
    parts: ['x'],
    fails: async () => {
      reached.open()
      await go.opened
    },
  })
  const parent = workflow({ name: 'told', input: nothing, retry: { maxAttempts: 1 } }, async (ctx) => {
    await ctx.step('p', () => 'p1', { compensate: (result) => child.log.push(`undo ${result}`) })
    await ctx.invoke(child.definition, {})
  })
  await database.start([parent, child.definition])
  const id = await enqueue(parent)
  await reached.opened
  expect(await execution(database, id)).toMatchObject({ status: 'waiting' })
  go.open()
  await expect(database.client.result(id)).rejects.toThrow(/^execution .* is failed: child .* is failed: out of stock; compensated: x; compensated: p$/)
  expect(child.log).toEqual(['do x', 'undo x1', 'undo p1'])
})

describe('what executors of older versions have recorded', () => {
  test('does not say what can be undone: a run of this version says it, and it is undone', async () => {
    const { definition, log } = saga('older', (ctx) => ctx.sleep(200).then(fail))
    await database.start(definition)
    const id = await enqueue(definition)
    await untilStatus(database, id, 'waiting')
    await database.query('update public.fw_execution_steps set is_compensable = null where execution_id = $1', [id])
    await expect(database.client.result(id)).rejects.toThrow('out of stock; compensated: c, b, a')
    expect(undone(log)).toEqual(ALL)
  })

  test('is undone to its end where one of them has begun with that', async () => {
    const { definition, log } = saga('begun', (ctx) => ctx.step('last', () => sleep(60_000)), { retry: { maxAttempts: 1 } })
    const first = await database.start(definition)
    const id = await enqueue(definition)
    await until('its steps are recorded', async () => (await stepStates(database, id))['b'] === 'completed')
    await until('it runs the last one', () => log.length === 3)
    const [run] = await database.query<{ executor_id: string; batch_id: string }>(
      'select r.executor_id, r.id as batch_id from public.fw_worker_runs r join public.fw_workflow_executions e on e.batch_id = r.id where e.id = $1', [id])
    await until('all are recorded', async () => (await stepStates(database, id))['c'] === 'completed')
    await database.query('update public.fw_execution_steps set is_compensable = null where execution_id = $1', [id])
    expect(await database.query("select public.fw_begin_compensation($1, $2, $3, 'as it was', 'RUNTIME') as begun", [run?.executor_id, id, run?.batch_id])).toEqual([{ begun: true }])
    await database.query("update public.fw_execution_steps set status = 'compensated' where execution_id = $1 and node_id = 'c'", [id])
    await expireLease(database, id)
    await first.stop({ timeout: 0 })
    await database.start(definition)
    await expect(database.client.result(id)).rejects.toThrow('as it was; compensated: c, b, a')
    expect(undone(log)).toEqual(['undo b1', 'undo a1'])
  })
})
