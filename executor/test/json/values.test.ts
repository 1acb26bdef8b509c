import { describe, expect, test } from 'vitest'
import { NotJsonError } from '../../src/errors.js'
import { toJson } from '../../src/json.js'

class Money {
  readonly cents = 1
}

const back = (value: unknown): unknown => JSON.parse(toJson(value, 'it'))

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

test('undefined at the top is null, and a property that is undefined is left out', () => {
  expect(toJson(undefined, 'it')).toBe('null')
  expect(toJson({ a: undefined, b: 1 }, 'it')).toBe('{"b":1}')
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
    ['undefined in a list', [1, undefined], '$[1]', /undefined/],
    ['a hole in a list', Object.assign([1], { length: 2 }), '$[1]', /undefined/],
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
