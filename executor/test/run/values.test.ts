import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { deadLetterOf, executorDatabase, stepNames, steps, untilStatus } from '../support/executor.js'
import { execution } from '../support/sql.js'

const database = executorDatabase()
const quick = { backoff: { initial: 1, max: 1 } }

const cycle: Record<string, unknown> = {}
cycle['self'] = cycle
const refused: [string, unknown, string][] = [
  ['a bigint', { total: 10n }, '$.total is a bigint'],
  ['a function', [() => 1], '$[0] is a function'],
  ['a cycle', cycle, '$.self is a reference to what contains it'],
  ['a date', { at: new Date() }, '$.at is a Date'],
  ['NaN', { lines: [{ price: NaN }] }, '$.lines[0].price is NaN'],
  ['U+0000', { name: '\0' }, '$.name is a text with the character U+0000'],
  ['half of a surrogate pair', '😀'.slice(0, 1), '$ is a text with half of a surrogate pair'],
]

describe('what JSON cannot hold is dead-lettered at the first attempt, with the path of the value:', () => {
  test.each(refused)('%s as the result of a step', async (what, value, message) => {
    const organizationId = await database.organization()
    const bad = workflow({ name: `step of ${what}`, input: z.object({}), retry: quick }, async (ctx) => {
      await ctx.step('fine', () => 1)
      await ctx.step('bad', () => value)
    })
    await database.start(bad)
    const id = await database.client.enqueue(bad, {}, { organizationId })
    await untilStatus(database, id, 'failed')
    const letter = await deadLetterOf(database, id)
    expect(letter).toMatchObject({ attempt: 1, error_category: 'VALIDATION' })
    expect(letter['error']).toContain(`the result of step 'bad' is not JSON: ${message}`)
    expect(await stepNames(database, id)).toEqual(['fine'])
  })

  test.each(refused)('%s as the output', async (what, value, message) => {
    const organizationId = await database.organization()
    const bad = workflow({ name: `output of ${what}`, input: z.object({}), retry: quick }, async (ctx) => {
      await ctx.step('fine', () => 1)
      return value
    })
    await database.start(bad)
    const id = await database.client.enqueue(bad, {}, { organizationId })
    await untilStatus(database, id, 'failed')
    const letter = await deadLetterOf(database, id)
    expect(letter).toMatchObject({ attempt: 1, error_category: 'VALIDATION' })
    expect(letter['error']).toContain(`is not JSON: ${message}`)
    expect(await stepNames(database, id)).toEqual(['fine'])
  })
})

test('results and outputs of several megabytes are kept, and come back in the next attempt', async () => {
  const organizationId = await database.organization()
  const size = 5_000_000
  const letters = Array.from('abcdefgh')
  const huge = workflow({ name: 'huge', input: z.object({ letter: z.string() }), retry: quick }, async (ctx, { letter }) => {
    const text = await ctx.step('make', () => letter.repeat(size))
    if (ctx.attempt === 1) throw new Error('again')
    return { text, quotes: '"'.repeat(100_000) }
  })
  await database.start(huge)
  const ids = await database.client.enqueueMany(huge, letters.map((letter) => ({ letter })), { organizationId })
  for (const [index, id] of ids.entries()) {
    const { text, quotes } = await database.client.result(id)
    expect(text.length).toBe(size)
    expect(text[0]).toBe(letters[index])
    expect(quotes.length).toBe(100_000)
  }
})

test('undefined comes back as undefined, as the result of a step and as the output, and is NULL in the database', async () => {
  const organizationId = await database.organization()
  let runs = 0
  const nothing = workflow({ name: 'nothing', input: z.object({}), retry: quick }, async (ctx): Promise<unknown> => {
    const result = await ctx.step('nothing', (): unknown => {
      runs++
      return undefined
    })
    expect(result).toBeUndefined()
    if (ctx.attempt === 1) throw new Error('again')
    return undefined
  })
  await database.start(nothing)
  const id = await database.client.enqueue(nothing, {}, { organizationId })
  expect(await database.client.result(id)).toBeUndefined()
  expect((await steps(database, id)).map(({ output_data }) => output_data)).toEqual([null])
  expect((await execution(database, id)).output).toBeNull()
  expect(runs).toBe(1)
})

test('texts, numbers and keys of every kind come back as they were', async () => {
  const organizationId = await database.organization()
  const value = { text: '"\\\n\t{},é😀\u0001\u2028', numbers: [0, -1, 0.1, 1e21, Number.MAX_VALUE, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER], '': { '{"a",}': null } }
  const echo = workflow({ name: 'echo', input: z.unknown(), retry: quick }, async (ctx, input) => {
    const kept = await ctx.step('keep', () => input)
    if (ctx.attempt === 1) throw new Error('again')
    return [input, kept]
  })
  await database.start(echo)
  const id = await database.client.enqueue(echo, value, { organizationId })
  expect(await database.client.result(id)).toEqual([value, value])
})
