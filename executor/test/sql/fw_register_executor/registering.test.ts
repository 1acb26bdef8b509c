import { describe, expect, test } from 'vitest'
import { claim, executor, one, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

const policy = async (name: string) =>
  one(await database.query('select max_attempts, backoff_initial_ms, backoff_factor, backoff_max_ms from public.fw_workflows where name = $1', [name]))

describe('fw_register_executor', () => {
  test('makes the executor known with its workflows, each once and sorted', async () => {
    const [a, b] = [`a-${workflow()}`, `b-${workflow()}`]
    const x = await executor(database, [b, a])
    expect(one(await database.query('select name, workflows, stopped_at from public.fw_executors where id = $1', [x]))).toEqual({
      name: 'test',
      workflows: [a, b],
      stopped_at: null,
    })
    expect(one(await database.query<{ live: string[] }>('select public.fw_live_workflows() as live')).live).toEqual([a, b])
  })

  test('fills in the default policy', async () => {
    const name = workflow()
    await executor(database, name)
    expect(await policy(name)).toEqual({ max_attempts: 5, backoff_initial_ms: '1000', backoff_factor: 2, backoff_max_ms: '300000' })
  })

  test('gives the executor that starts last the last word on the policy', async () => {
    const name = workflow()
    await executor(database, name, { max_attempts: 3, backoff_initial_ms: 1, backoff_factor: 1.5, backoff_max_ms: 2 })
    expect(await policy(name)).toEqual({ max_attempts: 3, backoff_initial_ms: '1', backoff_factor: 1.5, backoff_max_ms: '2' })
    await executor(database, name, { max_attempts: 7 })
    expect(await policy(name)).toMatchObject({ max_attempts: 7, backoff_initial_ms: '1000' })
  })

  test.for([['null'], ["'[]'"], ["'{}'"], ["'null'"]])('refuses %s for the workflows', async ([workflows]) => {
    await expect(database.query(`select public.fw_register_executor('x', ${workflows ?? ''})`)).rejects.toMatchObject({
      code: '22023',
      message: 'an executor must register at least one workflow',
    })
  })

  test('gives every executor an id of its own, also under the same name', async () => {
    const name = workflow()
    expect(await executor(database, name)).not.toBe(await executor(database, name))
  })
})

test('an executor that has stopped no longer counts as one that knows its workflows', async () => {
  const name = workflow()
  const x = await executor(database, name)
  await database.query('select public.fw_stop_executor($1)', [x])
  expect(one(await database.query<{ live: string[] }>('select public.fw_live_workflows() as live')).live).not.toContain(name)
  await expect(claim(database, x)).rejects.toMatchObject({ code: 'FW002' })
})
