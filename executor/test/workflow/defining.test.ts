import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { UsageError } from '../../src/errors.js'
import { isWorkflow, type RetryPolicy, workflow } from '../../src/workflow.js'

const define = (name: string, retry?: RetryPolicy) => workflow({ name, input: z.object({}), ...(retry === undefined ? {} : { retry }) }, () => undefined)

describe('the retry policy that a workflow is registered with', () => {
  test('is 5 attempts, 1 s doubled each time, 5 minutes at most, when none is given', () => {
    expect(define('a').policy).toMatchObject({ name: 'a', max_attempts: 5, backoff_initial_ms: 1000, backoff_factor: 2, backoff_max_ms: 300_000 })
  })

  test('takes durations as they are written', () => {
    expect(define('a', { maxAttempts: 2, backoff: { initial: '250ms', factor: 1.5, max: '1h' } }).policy).toMatchObject({
      name: 'a',
      max_attempts: 2,
      backoff_initial_ms: 250,
      backoff_factor: 1.5,
      backoff_max_ms: 3_600_000,
    })
  })

  test('goes with a timeout of an hour that fails an execution, unless told otherwise', () => {
    expect(define('a').policy).toMatchObject({ timeout_minutes: 60, on_timeout: 'fail', compensate_on_timeout: true })
    const { policy } = workflow({ name: 'a', input: z.unknown(), timeout: '24h', onTimeout: 'escalate', compensateOnTimeout: false }, () => 1)
    expect(policy).toMatchObject({ timeout_minutes: 1440, on_timeout: 'escalate', compensate_on_timeout: false })
  })

  test('is in whole milliseconds', () => {
    expect(define('a', { backoff: { initial: 0.6, max: 1000.4 } }).policy).toMatchObject({ backoff_initial_ms: 1, backoff_max_ms: 1000 })
  })
})

describe('a definition is refused with a UsageError', () => {
  test.each(['', 'a'.repeat(201)])('for a name of length 0 or 201', (name) => {
    expect(() => define(name)).toThrow(UsageError)
    expect(() => define(name)).toThrow(/1 to 200 characters/)
  })

  test.each<[string, RetryPolicy]>([
    ['retry.maxAttempts', { maxAttempts: 0 }],
    ['retry.maxAttempts', { maxAttempts: 101 }],
    ['retry.maxAttempts', { maxAttempts: 1.5 }],
    ['retry.maxAttempts', { maxAttempts: NaN }],
    ['retry.backoff.factor', { backoff: { factor: 0.5 } }],
    ['retry.backoff.factor', { backoff: { factor: 101 } }],
    ['retry.backoff.initial', { backoff: { initial: -1 } }],
    ['retry.backoff.max', { backoff: { max: 'never' as '1s' } }],
  ])('for %s out of range: %j', (what, retry) => {
    expect(() => define('pay', retry)).toThrow(UsageError)
    expect(() => define('pay', retry)).toThrow(`pay: ${what}`)
  })
})

test.each(['30s', '90s', '25h', 0, -60_000, 'never'])('a timeout of %j is refused', (timeout) => {
  const define = () => workflow({ name: 'pay', input: z.unknown(), timeout: timeout as '1h' }, () => 1)
  expect(define).toThrow(UsageError)
  expect(define).toThrow(/pay: timeout/)
})

test('a name of 200 characters and the ends of the ranges are taken', () => {
  const name = 'a'.repeat(200)
  expect(define(name, { maxAttempts: 100, backoff: { factor: 100, initial: 0, max: '100y' } }).name).toBe(name)
  expect(define('a', { maxAttempts: 1, backoff: { factor: 1 } }).policy.max_attempts).toBe(1)
})

test('isWorkflow tells workflows from other exports', () => {
  expect(isWorkflow(define('a'))).toBe(true)
  for (const other of [undefined, null, 'a', () => 1, { name: 'a', policy: {}, run: () => 1 }]) expect(isWorkflow(other)).toBe(false)
})
