import { beforeAll, expect, test } from 'vitest'
import { deadLetterOf, executorDatabase, expireLease, kill, until, untilStatus } from '../support/executor.js'
import { execution } from '../support/sql.js'

const database = executorDatabase()

interface Effect extends Record<string, unknown> {
  what: string
  value: unknown
  pid: number
}

const effects = (id: string) =>
  database.query<Effect>('select what, value, pid from effects where execution_id = $1 order by at', [id])
const undone = async (id: string) => (await effects(id)).filter(({ what }) => what.startsWith('undo ')).map(({ what, value }) => [what, value])

const enqueue = async () => await database.client.enqueue('shipping', { order: 'A7' }, { organizationId: await database.organization() })
const untilIn = (id: string, what: string) => until(`it is in '${what}'`, async () => (await effects(id)).some((effect) => effect.what === what))

/** What is undone, and how, when nothing crashes. */
let expected: unknown[]

beforeAll(async () => {
  await database.query('create table effects (execution_id uuid, what text, value json, pid integer, at timestamptz default clock_timestamp())')
  const child = database.spawn('undoing.ts')
  const id = await enqueue()
  await untilStatus(database, id, 'failed')
  await kill(child)
  expected = await undone(id)
  expect(expected.map((each) => (each as unknown[])[0])).toHaveLength(3)
  expect(expected).toContainEqual(['undo label', { of: 'A7', from: 'Z3' }])
  expect(expected.at(-1)).toEqual(['undo reserve', { shelf: 'Z3', order: 'A7' }])
  expect(await deadLetterOf(database, id)).toMatchObject({ attempt: 1, error: expect.stringMatching(/^the road is closed; compensated: (label, charge|charge, label), reserve$/) as unknown, not_compensated: [] })
})

test('an executor that is killed in the last attempt: another one undoes what was completed, as if nothing had crashed', async () => {
  const first = database.spawn('undoing.ts', { HANGS_IN: 'ship' })
  const id = await enqueue()
  await untilIn(id, 'ship')
  await kill(first)
  const second = database.spawn('undoing.ts')
  await expireLease(database, id)
  await untilStatus(database, id, 'failed')
  expect(await undone(id)).toEqual(expected)
  expect((await effects(id)).filter(({ what }) => what.startsWith('undo ')).every(({ pid }) => pid === second.pid)).toBe(true)
  // What had not been completed is not undone, and nothing was done again.
  expect((await effects(id)).map(({ what }) => what).filter((what) => !what.startsWith('undo ')).sort()).toEqual(['charge', 'label', 'reserve', 'ship'])
  const letter = await deadLetterOf(database, id)
  expect(letter).toMatchObject({ attempt: 1, error_category: 'TIMEOUT', not_compensated: [] })
  expect(letter['error']).toBe(`the lease ran out before the executor reported; compensated: ${(letter['compensated'] as string[]).join(', ')}`)
  expect(letter['compensated']).toEqual(expected.map((each) => String((each as unknown[])[0]).slice('undo '.length)))
})

test('an attempt that is not the last one undoes nothing when its executor is killed', async () => {
  const first = database.spawn('undoing.ts', { HANGS_IN: 'ship', MAX_ATTEMPTS: '2' })
  const id = await enqueue()
  await untilIn(id, 'ship')
  await kill(first)
  const second = database.spawn('undoing.ts', { HANGS_IN: 'ship', MAX_ATTEMPTS: '2' })
  await expireLease(database, id)
  await until('it ships again', async () => (await effects(id)).filter(({ what }) => what === 'ship').length === 2)
  expect(await undone(id)).toEqual([])
  await kill(second)
  database.spawn('undoing.ts', { MAX_ATTEMPTS: '2' })
  await expireLease(database, id)
  await untilStatus(database, id, 'failed')
  expect(await undone(id)).toEqual(expected)
})

test.each(['undo label', 'undo charge', 'undo reserve'])('an executor that is killed in "%s": another one goes on with it and what is left', async (what) => {
  const first = database.spawn('undoing.ts', { HANGS_IN: what })
  const id = await enqueue()
  await untilIn(id, what)
  expect(await execution(database, id)).toMatchObject({ status: 'running' })
  await kill(first)
  database.spawn('undoing.ts')
  await expireLease(database, id)
  await untilStatus(database, id, 'failed')
  // The one in which it died runs again, with the same result; no other one does.
  const at = expected.findIndex((each) => (each as unknown[])[0] === what)
  expect(await undone(id)).toEqual([...expected.slice(0, at + 1), ...expected.slice(at)])
  expect(await deadLetterOf(database, id)).toMatchObject({ attempt: 1, error: expect.stringContaining('the road is closed; compensated: ') as unknown, not_compensated: [] })
})
