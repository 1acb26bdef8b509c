import { DatabaseError } from 'pg'
import { pino } from 'pino'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import { PermanentError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, until, untilStatus } from '../support/executor.js'

const database = executorDatabase()

/** The secret is put together where it leaks, so that no input has it. */
const secret = ['hunter', 2].join('')
const takesOut = (text: string) => text.replaceAll(secret, '***')

/** Every line of the log, and every row of every table, that has the secret. */
const lines: string[] = []
const logger = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) })
async function leaks(): Promise<string[]> {
  const tables = await database.query<{ name: string }>(
    `select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and (n.nspname = 'public' and c.relname like 'fw\\_%' or n.nspname = 'pgmq') order by 1`,
  )
  const found = lines.filter((line) => line.includes(secret))
  for (const { name } of tables) {
    const rows = await database.query<{ row: string }>(`select t::text as row from ${name} t where t::text like '%${secret}%'`)
    found.push(...rows.map(({ row }) => `${name}: ${row}`))
  }
  return found
}

afterEach(() => { lines.length = 0 })

/** Runs one execution of the workflow to its end, with the redactor. */
async function end(definition: ReturnType<typeof workflow>, input: unknown = {}, status = 'failed'): Promise<string> {
  const organizationId = await database.organization()
  const executor = await database.start(definition, { logger, redact: takesOut })
  const id = await database.client.enqueue(definition.name, input, { organizationId })
  await untilStatus(database, id, status)
  await executor.stop()
  return id
}

/** The driver's error of a row that is there already: its detail has the value. */
const refusedByTheDriver = async () => {
  try {
    await database.query(`do $$ begin raise unique_violation using message = 'twice', detail = 'Key (token)=(${secret}) exists', hint = '${secret}', constraint = '${secret}'; end $$`)
    return new Error('nothing was refused')
  } catch (error) {
    expect(error).toBeInstanceOf(DatabaseError)
    return error as Error
  }
}

const retry = { maxAttempts: 1 }
const empty = z.object({})

const LEAKS: Record<string, () => ReturnType<typeof workflow>> = {
  'in what a schema says of the input': () =>
    workflow({ name: 'input', input: z.object({ n: z.number().refine(() => false, { error: ({ input }) => `hunter${String(input)} is no good` }) }) as never, retry }, () => 1),
  'in an error with a cause, errors that it gathers, and properties': () =>
    workflow({ name: 'thrown', input: empty, retry }, () => {
      const cause = Object.assign(new Error(`cause ${secret}`), { [`of`]: { deep: [secret] }, name: `Name ${secret}` })
      throw Object.assign(new AggregateError([new Error(`gathered ${secret}`)], `all ${secret}`, { cause }), { token: secret })
    }),
  'in something else than an error': () =>
    workflow({ name: 'odd', input: empty, retry }, () => {
      // eslint-disable-next-line @typescript-eslint/only-throw-error
      throw { token: secret }
    }),
  "in the driver's detail, in a step": () =>
    workflow({ name: 'driver', input: empty, retry }, async (ctx) => {
      await ctx.step('book', async () => { throw await refusedByTheDriver() })
    }),
  "in the driver's detail, in a transaction step": () =>
    workflow({ name: 'transaction', input: empty, retry }, async (ctx) => {
      await ctx.transaction('book', (sql) => sql.query(`select '${secret}'::integer`))
    }),
  'in a step that the handler has gone on from, and one that nobody awaited': () =>
    workflow({ name: 'gone on', input: empty, retry }, async (ctx) => {
      await ctx.step('caught', () => { throw new Error(secret) }).catch(() => undefined)
      void ctx.step('unwatched', async () => { throw await refusedByTheDriver() })
      await ctx.step('after', () => 1)
      throw new PermanentError(secret)
    }),
  'in a compensation': () =>
    workflow({ name: 'undone', input: empty, retry }, async (ctx) => {
      await ctx.step('reserve', () => 1, { compensate: async () => { throw await refusedByTheDriver() }, compensateOptions: { retry: { maxAttempts: 1 } } })
      throw new Error(secret)
    }),
  'in the progress, and in what the handler logs': () =>
    workflow({ name: 'says', input: empty, retry }, async (ctx) => {
      ctx.progress(0.5, `half of ${secret}`)
      ctx.log.info({ token: secret, [secret]: 1, deep: { list: [secret], [secret]: { [secret]: 1 } }, err: await refusedByTheDriver() }, `the token is ${secret}`)
      ctx.log.warn(`the token is ${secret}`)
      await ctx.step('rest', () => 1)
      throw new Error('over')
    }),
  'in a payload that does not fit': () =>
    workflow({ name: 'payload', input: empty, retry }, async (ctx) => {
      await ctx.step('emit', () => database.client.emit(ctx.organizationId, 'key', { n: 2 }))
      await ctx.waitForEvent('key', { schema: z.object({ n: z.number().refine(() => false, { error: ({ input }) => `hunter${String(input)} is no good` }) }) })
    }),
}

test.each(Object.keys(LEAKS))('a secret %s is neither kept in a table nor logged', async (where) => {
  const definition = LEAKS[where]?.()
  if (definition === undefined) throw new Error('no such leak')
  const id = await end(definition, definition.name === 'input' ? { n: 2 } : {})
  expect(await leaks()).toEqual([])
  // It did say something, and that is kept and logged.
  const attempts = await database.client.attempts(id)
  expect(attempts).not.toEqual([])
  if (!['says', 'transaction', 'driver'].includes(definition.name)) expect(JSON.stringify([attempts, lines])).toContain('***')
  expect(lines.some((line) => line.includes(id))).toBe(true)
})

test('a secret in why the database refuses a result is neither kept nor logged', async () => {
  await database.query(`create function refuse() returns trigger language plpgsql as
    $$ begin raise check_violation using message = 'no ' || 'hunter' || '2', detail = 'hunter' || '2', hint = 'hunter' || '2'; end $$`)
  await database.query(`create trigger refuse before update on public.fw_workflow_executions for each row when (new.status = 'completed') execute function refuse()`)
  try {
    const id = await end(workflow({ name: 'refused', input: empty, retry }, () => 'poison'))
    expect(await leaks()).toEqual([])
    expect((await database.client.get(id)).error).toBe('the database did not take the result: no ***')
  } finally {
    await database.query('drop function refuse() cascade')
  }
})

test('a secret in why jobs, claims and notes fail is neither kept nor logged', async () => {
  await database.query(`create function leak() returns trigger language plpgsql as
    $$ begin raise exception using message = 'no ' || 'hunter' || '2', detail = 'hunter' || '2', hint = 'hunter' || '2'; end $$`)
  await database.query('create trigger leak before insert on public.fw_worker_ticks for each row execute function leak()')
  await database.query('create trigger leak before insert on public.fw_worker_runs for each row execute function leak()')
  await database.query("update public.fw_jobs set last_started_at = now() - interval '1 day' - interval '1 second'")
  const definition = workflow({ name: 'claimed', input: empty }, () => 1)
  const executor = await database.start(definition, { logger, redact: takesOut })
  try {
    const id = await database.client.enqueue(definition, {}, { organizationId: await database.organization() })
    await until('the claim and the job have failed', async () =>
      lines.some((line) => line.includes('a job failed')) && (await database.query('select from public.fw_executors where claim_error is not null')).length > 0)
    expect(await leaks()).toEqual([])
    expect(lines.join('')).toContain('no ***')
    await database.query('drop function leak() cascade')
    expect(await database.client.result(id)).toBe(1)
  } finally {
    await database.query('drop function if exists leak() cascade')
    await executor.stop()
  }
})

test('a redactor that throws takes all of the text out, and the execution ends all the same', async () => {
  const organizationId = await database.organization()
  const broken = () => { throw new Error('broken redactor') }
  const definition = workflow({ name: 'broken', input: empty, retry }, async (ctx) => {
    ctx.progress(0.5, secret)
    ctx.log.info({ token: secret }, secret)
    await ctx.step('book', async () => { throw await refusedByTheDriver() })
  })
  const executor = await database.start(definition, { logger, redact: broken })
  const id = await database.client.enqueue(definition, {}, { organizationId })
  await untilStatus(database, id, 'failed')
  await executor.stop()
  expect(await leaks()).toEqual([])
})
