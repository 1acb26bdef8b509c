import { describe, expect, test } from 'vitest'
import { boolArray, intArray, jsonbArray, textArray, uuidArray } from '../../src/binary-array.js'
import { sqlDatabase } from '../support/sql.js'

const database = sqlDatabase()

async function back(type: string, values: Buffer): Promise<unknown> {
  const [row] = await database.query<{ values: unknown }>(`select to_jsonb($1::${type}[]) as values`, [values])
  return row?.values
}

const TEXTS = ['', 'a', '"\\,{}\n\t\'', 'NULL', 'ünï — 東京 😀', 'x'.repeat(48), 'x'.repeat(49), 'ü'.repeat(48), '😀'.repeat(500), `${'x'.repeat(47)}ü`]
const UUIDS = ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '01a20ae4-4586-72f7-9a8d-d8b3845034e9']

describe('what was put in comes back', () => {
  test.each<[string, string, Buffer, unknown[]]>([
    ['true and false', 'bool', boolArray([true, false, true]), [true, false, true]],
    ['integers from end to end', 'int4', intArray([0, 1, 255, 256, 65_536, -1, 2_147_483_647, -2_147_483_648]), [0, 1, 255, 256, 65_536, -1, 2_147_483_647, -2_147_483_648]],
    ['uuids', 'uuid', uuidArray(UUIDS), UUIDS],
    ['texts of all kinds and lengths', 'text', textArray(TEXTS), TEXTS],
    ['JSON of all kinds', 'jsonb', jsonbArray(['null', '5', '"ü"', '{"a": [1, {"b": "😀"}]}', JSON.stringify(TEXTS)]), [null, 5, 'ü', { a: [1, { b: '😀' }] }, TEXTS]],
    ['a long list', 'text', textArray(Array.from({ length: 5000 }, (_, place) => `${place}`)), Array.from({ length: 5000 }, (_, place) => `${place}`)],
  ])('%s', async (_, type, sent, expected) => {
    expect(await back(type, sent)).toEqual(expected)
  })

  test.each<[string, Buffer]>([
    ['bool', boolArray([])],
    ['int4', intArray([])],
    ['uuid', uuidArray([])],
    ['text', textArray([])],
    ['jsonb', jsonbArray([])],
  ])('nothing, of %s', async (type, sent) => {
    expect(await back(type, sent)).toEqual([])
  })
})

describe('what Postgres cannot take is an error of the data:', () => {
  test.each<[string, string, Buffer, RegExp]>([
    ['a text that is no JSON', 'jsonb', jsonbArray(['1', '{']), /^22/],
    ['JSON with U+0000', 'jsonb', jsonbArray(['"\\u0000"']), /^22/],
    ['a text with U+0000', 'text', textArray(['a\0b']), /^22/],
  ])('%s', async (_, type, sent, state) => {
    await expect(back(type, sent)).rejects.toMatchObject({ code: expect.stringMatching(state) as string })
  })
})
