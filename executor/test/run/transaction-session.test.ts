import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, gate, stepNames, until } from '../support/executor.js'

const database = executorDatabase()
const role = `app_${randomBytes(4).toString('hex')}`
/** Texts that one transaction step sends, each alone; or { name, text } for a statement that pg prepares. It gives the rows of the last. */
const input = z.array(z.union([z.string(), z.object({ name: z.string(), text: z.string() })]))
const flow = workflow({ name: 'texts', input, retry: { maxAttempts: 1 } }, async (ctx, texts) =>
  await ctx.transaction('send', async (sql) => {
    let rows: unknown = []
    for (const text of texts) {
      const results: unknown = await sql.query(text)
      rows = ([results].flat().at(-1) as { rows: unknown }).rows
    }
    return rows
  }))

let organizationId: string

/** Each runs as an execution of its own, one after the other, on the only connection that the executor has for steps. */
async function inSteps(...steps: z.input<typeof input>[]): Promise<unknown[]> {
  await database.start(flow, { poolSize: 1 })
  const results: unknown[] = []
  for (const texts of steps) {
    const id = await database.client.enqueue(flow, texts, { organizationId })
    results.push(await database.client.result(id))
    expect(await stepNames(database, id)).toEqual(['send'])
  }
  return results
}

beforeAll(async () => {
  await database.query(`create role ${role}`)
  await database.query('create table documents (id integer primary key, tenant text)')
  await database.query('alter table documents enable row level security')
  await database.query(`create policy tenants on documents to ${role} using (tenant = current_setting('app.tenant', true))`)
  await database.query(`grant select, insert on documents to ${role}`)
  await database.query('create schema apart')
  await database.query('create table apart.things (id integer)')
  await database.query('create table parents (id integer primary key)')
  await database.query('create table children (parent integer references parents deferrable initially immediate)')
})
beforeEach(async () => {
  organizationId = await database.organization()
  await database.query('truncate documents, parents, children, apart.things')
  await database.query(`insert into documents values (1, 'A'), (2, 'B')`)
})
afterAll(async () => {
  await database.query(`drop owned by ${role}`)
  await database.query(`drop role ${role}`)
})

describe('what a step sets for its transaction holds for its statements, and its checkpoint is written all the same:', () => {
  test('a role of low privileges, which sees and writes what row-level security lets it', async () => {
    const results = await inSteps([
      `set local role ${role}`, `set local app.tenant = 'A'`, `insert into documents values (3, 'A')`,
      'select id, current_user::text as "user" from documents order by id',
    ])
    expect(results).toEqual([[{ id: 1, user: role }, { id: 3, user: role }]])
    expect(await database.query('select id from documents order by id')).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }])
  })

  test('another session authorization', async () => {
    expect(await inSteps([`set local session authorization ${role}`, 'select session_user::text as "user"'])).toEqual([[{ user: role }]])
  })

  test('deferred triggers fire under the role of the step', async () => {
    await database.query(`create table fired (by text); grant insert on fired to ${role}`)
    await database.query(`create function note_fired() returns trigger language plpgsql as $$ begin insert into fired values (current_user); return null; end $$`)
    await database.query('create constraint trigger note after insert on documents deferrable initially deferred for each row execute function note_fired()')
    await inSteps([`set local role ${role}`, `set local app.tenant = 'A'`, `insert into documents values (4, 'A')`])
    await database.query('drop trigger note on documents')
    expect(await database.query('select * from fired')).toEqual([{ by: role }])
  })

  test('read only', async () => {
    const results = await inSteps(['set transaction read only', 'select id from documents order by id'], ['select 1 as after'])
    expect(results).toEqual([[{ id: 1 }, { id: 2 }], [{ after: 1 }]])
  })

  test('a snapshot to read from, and read only as the default of its session', async () => {
    expect(await inSteps(
      ['set transaction isolation level repeatable read, read only', 'select count(*)::integer as count from documents'],
      ['set default_transaction_read_only = on', 'select 1 as one'],
      [`insert into documents values (5, 'A')`, 'select count(*)::integer as count from documents'],
    )).toEqual([[{ count: 2 }], [{ one: 1 }], [{ count: 3 }]])
  })

  test('timeouts that the checkpoint would not meet', async () => {
    const inside = gate()
    const go = gate()
    const hasty = workflow({ name: 'hasty', input: z.object({}), retry: { maxAttempts: 1 } }, async (ctx) => {
      await ctx.transaction('send', async (sql) => {
        await sql.query('set local lock_timeout = 20; set local statement_timeout = 50')
        inside.open()
        await go.opened
      })
      return 'done'
    })
    await database.start(hasty)
    const id = await database.client.enqueue(hasty, {}, { organizationId })
    await inside.opened
    const holder = await database.pool.connect()
    try {
      // The checkpoint has to wait a little for its batch.
      await holder.query('begin')
      await holder.query('select 1 from public.fw_worker_runs for update')
      go.open()
      await until('it waits', async () =>
        (await database.query("select 1 from pg_stat_activity where application_name = 'fw steps' and wait_event_type = 'Lock'")).length > 0)
      await sleep(200)
      await holder.query('rollback')
    } finally {
      holder.release(true)
    }
    expect(await database.client.result(id)).toBe('done')
  })

  test('search_path, constraints, encoding, and how values are written', async () => {
    const results = await inSteps([
      'set local search_path = apart', 'insert into things values (1)', 'set local search_path = public', 'set constraints all deferred',
      'insert into children values (7)', 'insert into parents values (7)', `set local client_encoding = 'latin1'`, `set local datestyle = 'German'`,
      'set local synchronous_commit = off', `select date '2026-01-31'::text as day, chr(228) || chr(8364) = 'x' as is`,
    ], [`select 'ä€' as text`])
    expect(results).toEqual([[{ day: '31.01.2026', is: false }], [{ text: 'ä€' }]])
    expect(await database.query('select (select count(*) from apart.things)::integer as things, (select count(*) from children)::integer as children')).toEqual([
      { things: 1, children: 1 },
    ])
  })

  test('a result with all kinds of letters is kept when the step has set another encoding', async () => {
    const odd = workflow({ name: 'odd letters', input: z.object({}) }, async (ctx) => {
      await ctx.transaction('send', async (sql) => {
        await sql.query(`set local client_encoding = 'latin1'`)
        return 'ä€😀'
      })
    })
    await database.start(odd)
    const id = await database.client.enqueue(odd, {}, { organizationId })
    await database.client.result(id)
    expect(await database.query('select output_data from public.fw_execution_steps where execution_id = $1', [id])).toEqual([{ output_data: 'ä€😀' }])
  })
})

describe('nothing that a step leaves in its session reaches the next one:', () => {
  test.each([
    ['a setting', [`select set_config('app.tenant', 'A', false)`], `select coalesce(current_setting('app.tenant', true), '') as left`, ''],
    ['a setting of Postgres', [`set search_path = apart`], `select current_setting('search_path') as left`, '"$user", public'],
    ['a role', [`set role ${role}`], 'select current_user::text as left', 'postgres'],
    ['a session authorization', [`set session authorization ${role}`], 'select session_user::text as left', 'postgres'],
    ['a temporary table', ['create temporary table documents as select 9 as id'], 'select min(id) as left from documents', 1],
    ['an advisory lock', ['select pg_advisory_lock(77)'], 'select count(*)::integer as left from pg_locks where locktype = $$advisory$$ and objid = 77', 0],
    ['LISTEN', ['listen somewhere'], 'select count(*)::integer as left from pg_listening_channels()', 0],
    ['a cursor', ['declare open_one cursor with hold for select 1'], 'select count(*)::integer as left from pg_cursors where is_holdable', 0],
    ['a prepared statement', ['prepare mine as select 1'], 'select count(*)::integer as left from pg_prepared_statements', 0],
  ])('%s', async (_, leave, look, expected) => {
    expect((await inSteps(leave, [look]))[1]).toEqual([{ left: expected }])
  })

  test('statements that pg prepares: one name for another text, and again for the first', async () => {
    const first = { name: 'one name', text: 'select 1 as value' }
    const second = { name: 'one name', text: 'select 2 as value' }
    expect(await inSteps([first, first], [second], [first])).toEqual([[{ value: 1 }], [{ value: 2 }], [{ value: 1 }]])
  })

  test('the last value of a sequence', async () => {
    await inSteps(['create sequence counted', `select nextval('counted')`])
    const id = await database.client.enqueue(flow, ['select lastval()'], { organizationId })
    await expect(database.client.result(id)).rejects.toThrow('lastval is not yet defined in this session')
  })

  test('also when the step fails', async () => {
    const failing = workflow({ name: 'failing texts', input: z.object({}), retry: { maxAttempts: 1 } }, async (ctx) => {
      await ctx.transaction('send', async (sql) => {
        await sql.query('select pg_advisory_lock(78)')
        throw new Error('it fails')
      })
    })
    await database.start([flow, failing], { poolSize: 1 })
    const failed = await database.client.enqueue(failing, {}, { organizationId })
    await database.client.result(failed).catch(() => undefined)
    const id = await database.client.enqueue(flow, ['select count(*)::integer as left from pg_locks where locktype = $$advisory$$ and objid = 78'], { organizationId })
    expect(await database.client.result(id)).toEqual([{ left: 0 }])
  })
})
