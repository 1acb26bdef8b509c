import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { NotJsonError } from '../../src/errors.js'
import { keep, toJson, toJsonText } from '../../src/json.js'

class Money {
  readonly cents = 1
}

const back = (value: unknown): unknown => JSON.parse(toJsonText(value, 'it'))

describe('what JSON can hold comes back as it was', () => {
  const shared = { a: 1 }
  test.each<[string, unknown]>([
    ['null', null],
    ['a boolean', false],
    ['the largest number', Number.MAX_VALUE],
    ['the smallest number', Number.MIN_VALUE],
    ['a text with quotes, a backslash, a newline and an emoji', '"\\\n😀'],
    ['nested lists and objects', { a: [1, [2, { b: [] }]], '': {} }],
    ['the same object twice', [shared, shared, { again: shared }]],
    ['an object without prototype', Object.assign(Object.create(null) as object, { a: 1 })],
    ['a key named __proto__', JSON.parse('{"__proto__": {"a": 1}}')],
    ['a key named constructor', { constructor: null }],
  ])('%s', (_, value) => {
    expect(back(value)).toEqual(value)
  })

  test('a thousand levels', () => {
    let value: unknown = 0
    for (let level = 0; level < 1000; level++) value = [value]
    expect(back(value)).toEqual(value)
  })
})

test('undefined at the top has no text, or null where there must be one; a property that is undefined is left out', () => {
  expect(keep(undefined, 'it')).toEqual({ value: undefined, text: undefined })
  expect(toJsonText(undefined, 'it')).toBe('null')
  expect(toJson({ a: undefined, b: 1 }, 'it')).toBe('{"b":1}')
})

describe('what jsonb would give back otherwise is made so at once:', () => {
  test('keys come in the order of jsonb: the shorter first, in bytes, then by their bytes', () => {
    const { value } = keep({ zebra: 1, ant: 2, é: 3, bb: 4, '\u{1f600}': 5, '\uff5e': 6, '10': 7, '9': 8, list: [{ b: 1, a: 2 }] }, 'it')
    expect(Object.keys(value)).toEqual(['9', '10', 'bb', 'é', 'ant', '\uff5e', 'list', '\u{1f600}', 'zebra'])
    expect(Object.keys(value.list[0] ?? {})).toEqual(['a', 'b'])
  })

  test('-0 is 0, and undefined or a hole in a list is null', () => {
    const holes: unknown[] = [-0, undefined]
    holes.length = 3
    expect(keep({ holes, zero: -0 }, 'it').value).toStrictEqual({ zero: 0, holes: [0, null, null] })
  })

  test('the copy is what its text says, whatever comes of the original', () => {
    const original = { list: [1] }
    const { value, text } = keep(original, 'it')
    original.list.push(2)
    expect(value).toEqual(JSON.parse(text ?? ''))
  })
})

test('values of another realm are plain', () => {
  const foreign: unknown = runInNewContext('({ list: [1, { a: null }] })')
  expect(keep(foreign, 'it').value).toStrictEqual({ list: [1, { a: null }] })
})

describe('what JSON cannot hold is refused with its path:', () => {
  const cycle: { next?: unknown } = {}
  cycle.next = [cycle]
  const inherits: unknown = Object.create(Object.create(null) as object)
  test.each<[string, unknown, string, RegExp]>([
    ['a bigint', 10n, '$', /a bigint/],
    ['a function', { a: [() => 1] }, '$.a[0]', /a function/],
    ['a symbol', [1, Symbol('s')], '$[1]', /a symbol/],
    ['NaN', { price: NaN }, '$.price', /NaN/],
    ['an infinity', [-Infinity], '$[0]', /-Infinity/],
    ['a property of a list', { found: 'a1'.match(/\d/) }, '$.found.groups', /a property of an array/],
    ['a date', { lines: [{ at: new Date() }] }, '$.lines[0].at', /a Date/],
    ['a map', new Map(), '$', /a Map/],
    ['an instance of a class', { price: new Money() }, '$.price', /a Money/],
    ['an object with toJSON', { a: { toJSON: () => 1 } }, '$.a', /an object with toJSON/],
    ['toJSON without prototype', { a: Object.assign(Object.create(null) as object, { toJSON: () => 1 }) }, '$.a', /an object with toJSON/],
    ['an object of an unknown kind', { a: inherits }, '$.a', /an object/],
    ['a cycle', cycle, '$.next[0]', /contains it/],
    ['U+0000 in a text', { name: 'a\0b' }, '$.name', /U\+0000/],
    ['U+0000 in a key', { a: { 'b\0': 1 } }, '$.a', /U\+0000/],
    ['half of a surrogate pair', ['😀'.slice(0, 1)], '$[0]', /surrogate/],
    ['half of a surrogate pair in a key', { ['😀'.slice(1)]: 1 }, '$', /surrogate/],
  ])('%s', (_, value, path, reason) => {
    const convert = () => toJson(value, "the result of step 'a'")
    expect(convert).toThrow(NotJsonError)
    expect(convert).toThrow(reason)
    expect(convert).toThrow(/^the result of step 'a' is not JSON: \$/)
    expect(convert).toThrow(expect.objectContaining({ path, category: 'VALIDATION' }) as Error)
  })

  test('more than a thousand levels', () => {
    let value: unknown = 0
    for (let level = 0; level < 1002; level++) value = { deeper: value }
    expect(() => toJson(value, 'it')).toThrow(/nested more than 1000 deep/)
  })
})
