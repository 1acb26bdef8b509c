import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Client } from '../../src/client.js'
import { WorkerError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, gate, untilStatus } from '../support/executor.js'

const database = executorDatabase()
const ID = randomUUID()
const NO_UUID = 'no uuid'

type Call = [what: string, call: (client: Client) => Promise<unknown>, code: string, message: string | RegExp]

const CALLS: Call[] = [
  ['cancel of an unknown execution', (client) => client.cancel(ID), 'UNKNOWN_EXECUTION', `there is no execution ${ID}`],
  ['fail of an unknown execution', (client) => client.fail(ID, 'a reason'), 'UNKNOWN_EXECUTION', `there is no execution ${ID}`],
  ['continueFrom of an unknown execution', (client) => client.continueFrom(ID, 'a'), 'UNKNOWN_EXECUTION', `there is no execution ${ID}`],
  ['get of an unknown execution', (client) => client.get(ID), 'UNKNOWN_EXECUTION', `there is no execution ${ID}`],
  ['result of an unknown execution', (client) => client.result(ID), 'UNKNOWN_EXECUTION', `there is no execution ${ID}`],
  ['enqueue for no uuid', (client) => client.enqueue('a', {}, { organizationId: NO_UUID }), 'VALUE_REFUSED', /uuid/],
  ['enqueueMany for no uuid', (client) => client.enqueueMany('a', [{}], { organizationId: NO_UUID }), 'VALUE_REFUSED', /uuid/],
  ['enqueue of a name too long', (client) => client.enqueue('a'.repeat(300), {}, { organizationId: ID }), 'VALUE_REFUSED', /200/],
  ['enqueueMany with too few keys', (client) => client.enqueueMany('a', [{}, {}], { organizationId: ID, idempotencyKeys: ['a'] }), 'VALUE_REFUSED', /./],
  ['enqueue of metadata too large', (client) => client.enqueue('a', {}, { organizationId: ID, metadata: { text: 'a'.repeat(100_000) } }), 'LIMIT_EXCEEDED', /metadata_limit/],
  ['result of no uuid', (client) => client.result(NO_UUID), 'VALUE_REFUSED', /uuid/],
  ['get of no uuid', (client) => client.get(NO_UUID), 'VALUE_REFUSED', /uuid/],
  ['steps of no uuid', (client) => client.steps(NO_UUID), 'VALUE_REFUSED', /uuid/],
  ['attempts of no uuid', (client) => client.attempts(NO_UUID), 'VALUE_REFUSED', /uuid/],
  ['children of no uuid', (client) => client.children(NO_UUID), 'VALUE_REFUSED', /uuid/],
  ['cancel of no uuid', (client) => client.cancel(NO_UUID), 'VALUE_REFUSED', /uuid/],
  ['emit for no uuid', (client) => client.emit(NO_UUID, 'key'), 'VALUE_REFUSED', /uuid/],
  ['emit of a payload too large', (client) => client.emit(ID, 'key', 'a'.repeat(20_000_000)), 'LIMIT_EXCEEDED', /./],
  ['saveSettings for no uuid', (client) => client.saveSettings(NO_UUID, { enabled: true }), 'VALUE_REFUSED', /uuid/],
  ['saveSettings out of range', (client) => client.saveSettings(ID, { enabled: true, concurrency: 0 }), 'VALUE_REFUSED', /fw_worker_concurrency/],
]

describe.each(['its own connections', 'a pool of the caller'])('what the database refuses of a client on %s is an error of ours, with a code', (connections) => {
  test.each(CALLS)('%s', async (_, call, code, message) => {
    const client = new Client({ ...(connections.startsWith('its') ? { connectionString: database.url } : { pool: database.pool }), onWarning: () => undefined })
    try {
      const failure = await call(client).then(() => undefined, (error: unknown) => error)
      expect(failure).toBeInstanceOf(WorkerError)
      expect(failure).toMatchObject({ code, message: typeof message === 'string' ? message : (expect.stringMatching(message) as string) })
    } finally {
      await client.close()
    }
  })
})

test('inside a transaction of the caller the errors are the same', async () => {
  const sql = await database.pool.connect()
  try {
    await sql.query('begin')
    await expect(database.client.emit(NO_UUID, 'key', 1, { transaction: sql })).rejects.toMatchObject({ code: 'VALUE_REFUSED' })
    await sql.query('rollback')
    await sql.query('begin')
    await expect(database.client.enqueue('a', {}, { organizationId: NO_UUID, transaction: sql })).rejects.toMatchObject({ code: 'VALUE_REFUSED' })
  } finally {
    await sql.query('rollback')
    sql.release()
  }
})

test('a step that is not there, and an execution that runs just now, are told apart, with a hint', async () => {
  const go = gate()
  const slow = workflow({ name: 'slow', input: z.object({}) }, async (ctx) => {
    await ctx.step('wait', () => go.opened)
  })
  const organizationId = await database.organization()
  const id = await database.client.enqueue(slow, {}, { organizationId })
  await expect(database.client.continueFrom(id, 'no such step')).rejects.toMatchObject({
    name: 'UnknownStepError', code: 'UNKNOWN_STEP', message: `execution ${id} has no step 'no such step'`, detail: 'Nothing was changed.', hint: expect.stringContaining('lists its steps') as string,
  })
  await database.start(slow)
  await untilStatus(database, id, 'running')
  await expect(database.client.continueFrom(id, 'wait')).rejects.toMatchObject({
    name: 'ExecutionStateError', code: 'EXECUTION_STATE', hint: 'An executor runs it just now: try again in a moment.',
  })
  go.open()
  await database.client.result(id)
})
