// Calls public functions with generated arguments, and says which of the calls had an effect, or an error, that none may have.
import pg from 'pg'
import { randomFrom } from '../random/values.js'
import type { TestDatabase } from '../support/database.js'
import { claim, enqueue, executor, type Queryable } from '../support/sql.js'
import { publicFunctions, type PublicFunction } from './catalogue.js'
import { finish, makeParty, type Party } from './scene.js'
import { type Known, type Manner, type Running, type Value, Values } from './values.js'

export interface FuzzOptions {
  seed: number
  /** Calls of each function. */
  calls: number
  /** Only these. Default: all. */
  only?: readonly string[]
}

export interface Fuzzed {
  /** What no call may do, in words, with the call; empty when all is well. */
  problems: string[]
  /** Calls of each function, by name. */
  counts: Map<string, number>
  /** How often each SQLSTATE was met; '00000' for success. */
  states: Map<string, number>
  /** Of errors: by function, SQLSTATE and the words of the message. */
  kinds: Set<string>
}

/** The errors that the functions raise themselves, on purpose. All else is an accident. */
const MEANT = /^(22023|22004|23502|23514|54000|55P03|0A000|42501|42704|FW\d\d\d)$/
/** Of a text with U+0000, which Postgres has no place for: said before any function is called. */
const NO_U0000 = new Set(['22021', '22P05'])
/** Names of ours that are no use to whoever calls. */
const INTERNAL = /\bnode_id\b|\boutput_data\b|relation "|column "|constraint "|type "|PL\/pgSQL|\bv_[a-z]/
/** These end what executors do, on purpose: what they did is rolled back. */
const ROLLED_BACK = new Set(['fw_after_restore'])
const ROUND = 40
const LOOK_AT_ALL = 4 * ROUND
const MOST_PROBLEMS = 100

interface Call {
  function: PublicFunction
  values: Value[]
  manner: Manner
}

/** Makes work in every state, calls, and looks at what the calls have done. */
export async function fuzz(database: TestDatabase, { seed, calls, only }: FuzzOptions): Promise<Fuzzed> {
  const random = randomFrom(seed)
  const targets = [await makeParty(database), await makeParty(database)]
  const bystanders = [await makeParty(database), await makeParty(database)]
  const functions = (await publicFunctions(database)).filter(({ name }) => only === undefined || only.includes(name))
  const plan = shuffled(functions.flatMap((each) => mannersOf(each, calls).map((manner) => ({ each, manner }))), random)
  const fuzzed: Fuzzed = { problems: [], counts: new Map(), states: new Map(), kinds: new Set() }
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  try {
    await client.query("set statement_timeout = '20s'")
    let known = await lookAround(database, targets, bystanders)
    let last: string[] = []
    for (const [at, { each, manner }] of plan.entries()) {
      const call = makeCall(each, manner, random, known)
      last.push(textOf(call))
      await make(client, call, fuzzed)
      if (at % LOOK_AT_ALL === LOOK_AT_ALL - 1 || at === plan.length - 1) {
        await database.query('analyze')
        const violations = await database.query<{ name: string; detail: string }>('select * from public.fw_invariants where violations > 0')
        for (const { name, detail } of violations) fuzzed.problems.push(`${name}: ${detail}, after one of\n  ${last.join('\n  ')}`)
        if (violations.length > 0 || fuzzed.problems.length > MOST_PROBLEMS) break
        last = []
      }
      if (at % ROUND === ROUND - 1) known = await lookAround(database, targets, bystanders)
    }
  } finally {
    await client.end()
  }
  fuzzed.problems.push(...(await differences(database, bystanders)))
  return fuzzed
}

/** Each argument once in each manner that there is for it, and then as it comes. */
function mannersOf({ arguments: all }: PublicFunction, calls: number): (Manner | { manner: Manner; place: number })[] {
  const special = all.flatMap(({ type }, place) => {
    const base = type.replace('[]', '')
    const manners: Manner[] = ['null', ...(base === 'text' || base === 'jsonb' ? (['large', 'u0000'] as const) : []),
      ...(/^(real|double precision|interval|timestamp|integer|bigint)/.test(base) ? (['infinite'] as const) : [])]
    return manners.map((manner) => ({ manner, place }))
  })
  return [...special, ...Array.from({ length: Math.max(0, calls - special.length) }, () => 'any' as const)]
}

function makeCall(each: PublicFunction, manner: Manner | { manner: Manner; place: number }, random: () => number, known: Known): Call {
  const values = new Values(random, known, each.arguments[0]?.name === 'p_executor_id')
  const last = each.arguments.length - 1
  // What has a default is left out now and then, from the end.
  let given = each.arguments.length
  while (manner === 'any' && given > 0 && each.arguments[given - 1]?.hasDefault === true && random() < 0.3) given -= 1
  if (given > last + 1) given = last + 1
  return {
    function: each,
    manner: typeof manner === 'string' ? manner : manner.manner,
    values: each.arguments.slice(0, given).map((argument, place) => values.of(argument, typeof manner !== 'string' && manner.place === place ? manner.manner : 'any')),
  }
}

async function make(client: pg.Client, call: Call, fuzzed: Fuzzed): Promise<void> {
  const { name, isProcedure, arguments: all } = call.function
  const parameters = call.values.map((_, place) =>
    all[place]?.type === 'fw_workflow_executions' ? `(select e from public.fw_workflow_executions e where e.id = $${place + 1}::uuid)` : `$${place + 1}::${all[place]?.type ?? ''}`)
  fuzzed.counts.set(name, (fuzzed.counts.get(name) ?? 0) + 1)
  let state = '00000'
  try {
    if (ROLLED_BACK.has(name)) await client.query('begin')
    await client.query(`${isProcedure ? 'call' : 'select count(*) from'} public.${name}(${parameters.join(', ')})`, call.values)
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error
    state = error.code ?? ''
    const problem = problemOf(error, call)
    // One of a kind is enough.
    const kind = `${name} ${error.code ?? ''} ${error.message.replace(/'[^']*'|[0-9a-f-]{36}|\d+/g, '…').slice(0, 60)}`
    if (problem !== undefined && !fuzzed.kinds.has(kind)) fuzzed.problems.push(`${problem}: ${error.code ?? ''} ${error.message.slice(0, 300)} (hint: ${error.hint ?? 'none'})\n  ${textOf(call)}\n  ${(error.where ?? '').split('\n')[0] ?? ''}`)
    fuzzed.kinds.add(kind)
  }
  if (ROLLED_BACK.has(name)) await client.query('rollback')
  fuzzed.states.set(state, (fuzzed.states.get(state) ?? 0) + 1)
}

function problemOf(error: pg.DatabaseError, call: Call): string | undefined {
  if (NO_U0000.has(error.code ?? '') && call.manner === 'u0000') return undefined
  if (!MEANT.test(error.code ?? '') || error.routine !== 'exec_stmt_raise') return 'an error that nobody has meant'
  if (INTERNAL.test(`${error.message} ${error.detail ?? ''}`)) return 'an error that names what is internal'
  if (error.message.length < 10 || error.hint === undefined) return 'an error that does not say what to do'
  return undefined
}

const short = (value: Value): string => (value === null ? 'NULL' : Array.isArray(value) ? `{${value.map(short).join(', ')}}` : value.length > 60 ? `${value.slice(0, 20)}… (${value.length})` : value)
const textOf = (call: Call): string => `${call.function.name}(${call.values.map((value, place) => `${call.function.arguments[place]?.name ?? ''} => ${short(value)}`).join(', ')})`

/** Ends what calls have done to the organizations that are aimed at, gives them new work, and says what there is now. */
async function lookAround(on: Queryable, targets: readonly Party[], bystanders: readonly Party[]): Promise<Known> {
  await on.query('select public.fw_resume()')
  for (const target of targets) {
    const { organizationId, name, child } = target
    await on.query('select public.fw_save_worker_settings($1, true, 50, 600, 40)', [organizationId])
    const live = await on.query('select from public.fw_executors where id = $1 and stopped_at is null', [target.executorId])
    if (live.length === 0) target.executorId = await executor(on, [name, child])
    await enqueue(on, name, organizationId, 6)
    await claim(on, target.executorId, 4)
  }
  const of = targets.map(({ organizationId }) => organizationId)
  const names = targets.flatMap(({ name, child }) => [name, child])
  const column = async (text: string, values: unknown[] = [of]) => (await on.query<{ value: string }>(text, values)).map(({ value }) => value)
  const running = (organizations: string[]) =>
    on.query<Running & Record<string, unknown>>(
      `select r.executor_id as "executorId", e.id as "executionId", e.batch_id as "batchId"
       from public.fw_workflow_executions e join public.fw_worker_runs r on r.id = e.batch_id
       where e.organization_id = any ($1) and e.status = 'running' and r.executor_id is not null order by e.id desc limit 30`, [organizations])
  return {
    organizations: of,
    executors: await column('select id as value from public.fw_executors where workflows && $1 order by id desc limit 10', [names]),
    executions: await column(
      `select id as value from (select distinct on (status, compensating is null, random() < 0.5) id from public.fw_workflow_executions where organization_id = any ($1)
       order by status, compensating is null, random() < 0.5, random()) e order by id`),
    batches: await column('select id as value from public.fw_worker_runs where organization_id = any ($1) order by id desc limit 10'),
    workflows: names,
    deadLetters: await column('select d.msg_id::text as value from public.fw_dlq d where d.organization_id = any ($1) order by 1 limit 10'),
    steps: ['wait', 'reserve', 'a', 'first', 'b', 'b#2'],
    keys: ['approved', 'other', 'key-1'],
    running: await running(of),
    foreign: await running(bystanders.map(({ organizationId }) => organizationId)),
  }
}

/** In what the work of the bystanders ended otherwise than that of a party whom nobody was beside. */
async function differences(database: TestDatabase, bystanders: readonly Party[]): Promise<string[]> {
  await database.query('select public.fw_resume()')
  // A tick may have offered their work, which nobody took: ten seconds later that is claimed as if nothing had been.
  await database.query("update public.fw_worker_runs set claimed_at = claimed_at - interval '1 minute' where taken_at is null and finished_at is null")
  await database.query('select * from public.fw_reap_expired_batches()')
  const undisturbed = JSON.stringify(await finish(database, await makeParty(database)), null, 1).split('\n')
  const problems: string[] = []
  for (const party of bystanders) {
    const ended = JSON.stringify(await finish(database, party), null, 1).split('\n')
    const at = undisturbed.findIndex((line, place) => line !== ended[place])
    if (at >= 0 || ended.length !== undisturbed.length) {
      problems.push(`the work of a bystander ended otherwise than undisturbed:\n  ${(undisturbed[at] ?? 'nothing').trim()}\n  ${(ended[at] ?? 'nothing').trim()}\n  near ${undisturbed.slice(Math.max(0, at - 12), at).map((line) => line.trim()).join(' ')}`)
    }
  }
  const violations = await database.query<{ name: string; detail: string }>('select * from public.fw_invariants where violations > 0')
  return [...problems, ...violations.map(({ name, detail }) => `${name}: ${detail}, at the end`)]
}

function shuffled<T>(items: T[], random: () => number): T[] {
  for (let at = items.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1))
    const [a, b] = [items[at] as T, items[other] as T]
    items[at] = b
    items[other] = a
  }
  return items
}
