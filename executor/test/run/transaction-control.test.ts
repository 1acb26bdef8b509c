import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { TransactionClient } from '../../src/context.js'
import { workflow, type Workflow } from '../../src/workflow.js'
import { deadLetterOf, executorDatabase, stepNames, untilStatus } from '../support/executor.js'

const database = executorDatabase()
const ledger = async () => (await database.query<{ id: string }>('select id from ledger order by id')).map(({ id }) => id)
const insert = (id: string) => `insert into ledger (id) values ('${id}')`

let made = 0

/** What a dead letter says of the workflow whose transaction step does this. */
async function told(work: (sql: TransactionClient) => Promise<unknown>): Promise<unknown> {
  const { booking, id } = await run(work)
  await untilStatus(database, id, 'failed')
  const letter = await deadLetterOf(database, id)
  expect([letter['attempt'], await stepNames(database, id)], booking.name).toEqual([1, []])
  return letter['error']
}

async function run(work: (sql: TransactionClient) => Promise<unknown>): Promise<{ booking: Workflow; id: string }> {
  const organizationId = await database.organization()
  const booking = workflow({ name: `booking ${++made}`, input: z.object({}) }, async (ctx) => {
    await ctx.transaction('book', async (sql) => {
      await work(sql)
    })
    return 'done'
  })
  await database.start(booking)
  return { booking: booking, id: await database.client.enqueue(booking, {}, { organizationId }) }
}

beforeAll(async () => {
  await database.query('create table ledger (id text)')
})
beforeEach(async () => {
  await database.query('truncate ledger')
})

describe('a step that begins or ends transactions is told, and dead-lettered at its first attempt:', () => {
  test.each(['begin', 'BEGIN', '  /* so */ Begin Transaction read write', '-- so\nstart transaction', 'select 1; begin'])('%j, and nothing is written', async (text) => {
    expect(await told(async (sql) => {
      await sql.query(insert('before'))
      await sql.query(text)
      await sql.query(insert('after'))
    })).toMatch(/step 'book' sent BEGIN.*leave commit and rollback to the worker/)
    expect(await ledger()).toEqual([])
  })

  test.each(['commit', 'COMMIT', '/* so */ end', '-- so\ncommit work', 'commit; begin', 'commit and chain'])(
    '%j, which keeps what came before it, and nothing that comes after it',
    async (text) => {
      expect(await told(async (sql) => {
        await sql.query(insert('before'))
        await sql.query(text)
        await sql.query(insert('after'))
      })).toMatch(/step 'book' ended the transaction that it was given, by COMMIT.*What it had written until then is committed/)
      expect(await ledger()).toEqual(['before'])
    },
  )

  test.each(['rollback', '/* so */ ABORT', 'rollback; begin', 'rollback and chain', 'rollback; begin; set local fw.step = $$x$$'])('%j, and nothing is written', async (text) => {
    expect(await told(async (sql) => {
      await sql.query(insert('before'))
      await sql.query(text)
      await sql.query(insert('after'))
    })).toMatch(/leave commit and rollback to the worker/)
    expect(await ledger()).toEqual([])
  })

  test('when it does not heed the error either', async () => {
    expect(await told(async (sql) => {
      await sql.query(insert('before'))
      await sql.query('rollback').catch(() => undefined)
      await sql.query(insert('after')).catch(() => undefined)
    })).toMatch(/ended the transaction that it was given, by ROLLBACK/)
    expect(await ledger()).toEqual([])
  })

  test('when it waits for none of its queries', async () => {
    expect(await told((sql) => {
      void sql.query(insert('before'))
      void sql.query('rollback')
      void sql.query(insert('after'))
      return Promise.resolve()
    })).toMatch(/ended the transaction that it was given, by ROLLBACK/)
    expect(await ledger()).toEqual([])
  })

  test('when it asks with callbacks', async () => {
    expect(await told(async (sql) => {
      await new Promise<void>((resolve) => {
        sql.query('rollback; begin', () => {
          resolve()
        })
      })
      await sql.query(insert('after'))
    })).toMatch(/ended the transaction that it was given and began another/)
    expect(await ledger()).toEqual([])
  })

  test('when it writes and then makes its transaction read only', async () => {
    expect(await told(async (sql) => {
      await sql.query(insert('before'))
      await sql.query('set transaction read only')
    })).toMatch(/step 'book' wrote something and then made its transaction read only/)
    expect(await ledger()).toEqual([])
  })
})

test('savepoints of its own are a step\'s own affair', async () => {
  const { id } = await run(async (sql) => {
    await sql.query(insert('one'))
    await sql.query('savepoint here')
    await sql.query(insert('two'))
    await sql.query('rollback to here')
    await sql.query('savepoint there')
    await sql.query('select 1 / 0').catch(() => undefined)
    await sql.query('rollback to savepoint there')
    await sql.query('release here')
    await sql.query(insert('three'))
  })
  expect(await database.client.result(id)).toBe('done')
  expect(await ledger()).toEqual(['one', 'three'])
})

test('a query that a step did not wait for is part of its transaction, and its error is the error of the step', async () => {
  const { id } = await run((sql) => {
    void sql.query(insert('one'))
    return Promise.resolve()
  })
  expect(await database.client.result(id)).toBe('done')
  expect(await ledger()).toEqual(['one'])
  const failing = await run((sql) => {
    void sql.query('select 1 / 0')
    return Promise.resolve()
  })
  await untilStatus(database, failing.id, 'retry_pending')
  expect((await database.client.get(failing.id)).error).toMatch(/a query of step 'book' failed and the step went on/)
  await database.client.cancel(failing.id)
})
