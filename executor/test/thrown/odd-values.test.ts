import { runInNewContext } from 'node:vm'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { sqlState, troubleOf } from '../../src/database-errors.js'
import { deferredMs } from '../../src/defer.js'
import { PermanentError, UsageError } from '../../src/errors.js'
import { describer, failedBy, isPermanent } from '../../src/thrown.js'

const refuse = () => {
  throw new Error('do not look')
}

const getters = (error: object, ...names: string[]) => {
  for (const name of names) Object.defineProperty(error, name, { get: refuse })
  return error
}

function revoked(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

const cyclic = new Error('round')
cyclic.cause = cyclic
const nested = new AggregateError([], '')
nested.errors.push(nested, new AggregateError([nested], ''))

// The stack first: until somebody has looked at it, the runtime makes it of the others.
const NAMES = ['stack', 'code', 'message', 'name', 'category', 'cause', 'errors', 'delayMs', 'constructor']
const odd: [string, unknown, string | RegExp][] = [
  ...NAMES.map((name): [string, unknown, RegExp] => [`an error whose ${name} cannot be read`, getters(new Error('outer'), name), name === 'message' ? /^Error$/ : /^outer$/]),
  ['an error of which nothing can be read', getters(new Error('outer'), ...NAMES), /./],
  ['a gathering error whose errors cannot be read', getters(new AggregateError([new Error('inner')], ''), 'errors'), /^AggregateError$/],
  ['a revoked proxy', revoked({}), /./],
  ['a revoked proxy of an error', revoked(new Error('gone')), /./],
  ['a revoked proxy of a function', revoked(refuse), /./],
  ['a revoked proxy as the errors', Object.assign(new AggregateError([], ''), { errors: revoked([]) }), /^AggregateError$/],
  ['a revoked proxy as the cause', new Error('outer', { cause: revoked({}) }), 'outer'],
  ['a proxy all of whose traps throw', new Proxy(new Error('x'), new Proxy({}, { get: () => refuse })), /./],
  ['an object without a prototype', Object.create(null), /./],
  ['an object whose text cannot be made', { toString: refuse, [Symbol.toPrimitive]: refuse, [inspect.custom]: refuse }, /./],
  ['a function whose text cannot be made', Object.assign(() => 1, { toString: refuse }), /./],
  ['an error whose cause is itself', cyclic, 'round'],
  ['errors that gather each other', nested, /./],
  ['a symbol', Symbol('s'), 'Symbol(s)'],
  ['a number', 42n, '42'],
  ['a DOMException', new DOMException('it was aborted', 'AbortError'), 'it was aborted'],
  ['errors in errors', new AggregateError([new AggregateError([new Error('a'), new Error('b')], ''), 'c'], ''), 'a; b; c'],
  ['an error whose stack is a number', Object.assign(new Error('x'), { stack: 5 }), 'x'],
]

describe('whatever was thrown is a failed attempt, and looking at it never throws:', () => {
  test.each(odd)('%s', (_, thrown, expected) => {
    const failed = failedBy(thrown)
    expect(failed).toMatchObject({ kind: 'failed', category: 'RUNTIME', permanent: false })
    if (typeof expected === 'string') expect(failed.error).toBe(expected)
    else expect(failed.error).toMatch(expected)
    expect(failed.stack === undefined || typeof failed.stack === 'string').toBe(true)
    expect(deferredMs(thrown)).toBeUndefined()
    expect(sqlState(thrown)).toBeUndefined()
    expect(troubleOf(thrown)).toBe('retry')
  })
})

describe('an error of another realm, as under some test runners,', () => {
  const made = (code: string): unknown => runInNewContext(code)

  test('has its message and its stack', () => {
    const failed = failedBy(made('function charge() { return new TypeError("no card") }; charge()'))
    expect(failed.error).toBe('no card')
    expect(failed.stack).toMatch(/^TypeError: no card\n +at charge/)
  })

  test('is permanent, or asks to be run again, by its code', () => {
    expect(isPermanent(made('Object.assign(new Error("x"), { code: "PERMANENT" })'))).toBe(true)
    expect(failedBy(made('Object.assign(new Error("x"), { code: "PERMANENT", category: "NOT_FOUND" })'))).toMatchObject({ permanent: true, category: 'NOT_FOUND' })
    expect(deferredMs(made('Object.assign(new Error("x"), { code: "DEFER", delayMs: 2500 })'))).toBe(2500)
    expect(isPermanent(made('({ code: "PERMANENT" })'))).toBe(false)
  })

  test('that gathers others has their messages', () => {
    expect(failedBy(made('new AggregateError([new Error("a"), new Error("b")])')).error).toBe('a; b')
  })
})

test.each([Number.NaN, -1, Infinity, '5', undefined])('a Defer of another copy whose delay is %s is a failed attempt like any other', (delayMs) => {
  expect(deferredMs(Object.assign(new Error('later'), { code: 'DEFER', delayMs }))).toBeUndefined()
})

test('categories: of what was named, of usage, of a schema', () => {
  expect(failedBy(new PermanentError('x', { category: 'AUTHORIZATION' })).category).toBe('AUTHORIZATION')
  expect(failedBy(new UsageError('x'))).toMatchObject({ category: 'CONFIG', permanent: true })
  expect(failedBy(z.object({ a: z.string() }).safeParse({}).error)).toMatchObject({ category: 'VALIDATION', error: 'a: Invalid input: expected string, received undefined' })
  expect(failedBy(Object.assign(new Error('x'), { category: 'NONSENSE' })).category).toBe('RUNTIME')
})

describe('a redactor', () => {
  const redacting = describer({ redact: (text) => text.replaceAll('hunter2', '***') })

  test('gets the message and every part of the stack', () => {
    const cause = new Error('login with hunter2')
    cause.cause = 'the password was hunter2'
    const gathered = new AggregateError([new Error('hunter2 again')], 'all with hunter2', { cause })
    const { error, stack } = failedBy(gathered, redacting)
    expect(error).toBe('all with ***')
    expect(stack).toContain('*** again')
    expect(stack).toContain('login with ***')
    expect(stack).toContain('the password was ***')
    expect(stack).not.toContain('hunter2')
  })

  test.each([
    ['throws', refuse],
    ['gives no text', (() => undefined) as unknown as (text: string) => string],
  ])('that %s: nothing of the error is kept but what kind it is', (_, redact) => {
    const failed = failedBy(new PermanentError('hunter2', { category: 'NOT_FOUND' }), describer({ redact }))
    expect(failed).toEqual({ kind: 'failed', error: 'an error whose text could not be made', category: 'NOT_FOUND', permanent: true })
  })
})

describe('a stack', () => {
  const made = (depth: number): Error => {
    let error = new Error('the root')
    for (let level = 1; level <= depth; level++) error = new Error(`level ${level}`, { cause: error })
    return error
  }

  test('has the stacks of the causes below it, each said to be one', () => {
    const stack = failedBy(new Error('outer', { cause: new TypeError('inner', { cause: 'a text' }) })).stack ?? ''
    const heads = stack.split('\n').filter((line) => !line.startsWith('    at'))
    expect(heads).toEqual(['Error: outer', 'caused by: TypeError: inner', 'caused by: a text'])
  })

  test('is short, however many causes there are and however much they say', () => {
    const failed = failedBy(made(10_000))
    expect(failed.stack?.length).toBeLessThanOrEqual(10_001)
    expect(failed.stack).toContain('level 10000')
    const long = failedBy(new Error('y'.repeat(100_000), { cause: new Error('the cause') }))
    expect(long.error).toHaveLength(10_003)
    // The message does not hide where it happened.
    expect(long.stack).toMatch(/\n +at .*odd-values/)
    expect(long.stack).toContain('caused by: Error: the cause')
  })

  test('has no half of a surrogate pair and no U+0000, which Postgres cannot store', () => {
    const failed = failedBy(new Error(`a\0b${'😀'.slice(0, 1)}c`, { cause: `${'x'.repeat(999)}😀` }))
    expect(failed.stack?.isWellFormed()).toBe(true)
    expect(failed.stack).not.toContain('\0')
  })

  test.each([['a text'], [undefined], [{ message: 'no error' }]])('is missing where there is none: %j', (thrown) => {
    expect(failedBy(thrown)).not.toHaveProperty('stack')
  })
})
