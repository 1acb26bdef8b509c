import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Client } from '../../src/client.js'
import { ExecutionFailedError, PermanentError, ResultTimeoutError, UnknownExecutionError, UsageError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, gate, sessions, until } from '../support/executor.js'

const database = executorDatabase()
const input = z.object({})

describe('result', () => {
  test('waits for the output of an execution that runs', async () => {
    const organizationId = await database.organization()
    const go = gate()
    const waiting = workflow({ name: 'waiting', input }, async (ctx) => {
      await ctx.step('wait', () => go.opened)
      return { done: true }
    })
    await database.start(waiting)
    const id = await database.client.enqueue(waiting, {}, { organizationId })
    const result = database.client.result(id)
    await expect(database.client.result(id, { timeout: 100 })).rejects.toThrow(/is still (running|queued) after 100 ms; it goes on/)
    go.open()
    expect(await result).toEqual({ done: true })
    expect(await database.client.result(id, { timeout: 0 })).toEqual({ done: true })
  })

  test.each([[false], [null], [0], [''], [[]]])('gives the output %j as it is', async (output) => {
    const organizationId = await database.organization()
    const giving = workflow({ name: 'giving', input }, () => output)
    await database.start(giving)
    expect(await database.client.result(await database.client.enqueue(giving, {}, { organizationId }))).toEqual(output)
  })

  test('of a failed execution throws its status, error and category', async () => {
    const organizationId = await database.organization()
    const failing = workflow({ name: 'failing', input }, () => {
      throw new PermanentError('no such card', { category: 'NOT_FOUND' })
    })
    await database.start(failing)
    const id = await database.client.enqueue(failing, {}, { organizationId })
    const failure = await database.client.result(id).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(ExecutionFailedError)
    expect(failure).toMatchObject({ code: 'EXECUTION_FAILED', executionId: id, status: 'failed', category: 'NOT_FOUND', message: `execution ${id} is failed: no such card` })
  })

  test.each(['cancelled', 'timed_out'])('of an execution that is %s throws that', async (status) => {
    const organizationId = randomUUID()
    const id = await database.client.enqueue('never run', {}, { organizationId })
    await database.query('update public.fw_workflow_executions set status = $2 where id = $1', [id, status])
    await database.query("delete from pgmq.q_workflow_execution_queue where message ->> 'execution_id' = $1", [id])
    await expect(database.client.result(id)).rejects.toMatchObject({ code: 'EXECUTION_FAILED', status })
  })

  test('gives up after its timeout, and the execution goes on', async () => {
    const id = await database.client.enqueue('never run', {}, { organizationId: randomUUID() })
    const failure = await database.client.result(id, { timeout: '50ms' }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(ResultTimeoutError)
    expect(failure).toMatchObject({ code: 'RESULT_TIMEOUT', message: expect.stringContaining(`execution ${id} is still queued after 50 ms; it goes on`) as string })
  })

  test('of an execution that does not exist throws at once', async () => {
    const id = randomUUID()
    const failure = await database.client.result(id).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(UnknownExecutionError)
    expect(failure).toMatchObject({ code: 'UNKNOWN_EXECUTION', message: `there is no execution ${id}` })
  })

  test('refuses a timeout that is none', async () => {
    await expect(database.client.result(randomUUID(), { timeout: 'a while' as '1s' })).rejects.toThrow(UsageError)
  })
})

describe('close', () => {
  test("ends the client's own connections, also when it is called twice", async () => {
    const client = new Client({ connectionString: database.url })
    await client.enqueue('never run', {}, { organizationId: randomUUID() })
    expect(await sessions(database)).toContain('fw client')
    await client.close()
    await client.close()
    await until('the session has ended', async () => (await sessions(database)).length === 0)
  })

  test('leaves a pool that was passed in open', async () => {
    const pool = new pg.Pool({ connectionString: database.url })
    try {
      const client = new Client({ pool })
      await client.enqueue('never run', {}, { organizationId: randomUUID() })
      await client.close()
      expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    } finally {
      await pool.end()
    }
  })

  test('a lost idle connection does not end the process, and the next call makes a new one', async () => {
    const client = new Client({ connectionString: database.url })
    try {
      const organizationId = randomUUID()
      await client.enqueue('never run', {}, { organizationId })
      await database.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'fw client'")
      await until('the session has ended', async () => (await sessions(database)).length === 0)
      expect(await client.enqueue('never run', {}, { organizationId })).toMatch(/^[0-9a-f-]{36}$/)
    } finally {
      await client.close()
    }
  })
})
