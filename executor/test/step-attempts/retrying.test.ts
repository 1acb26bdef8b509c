import { describe, expect, test } from 'vitest'
import { Defer } from '../../src/defer.js'
import { PermanentError, StepTimeoutError, UsageError } from '../../src/errors.js'
import { runStep } from '../../src/step-attempts.js'

const running = new AbortController().signal

/** Fails so often, then succeeds with the number of its calls. */
function failing(times: number, error: unknown = new Error('not yet')) {
  const calls: number[] = []
  const work = () => {
    calls.push(calls.length + 1)
    if (calls.length <= times) throw error
    return calls.length
  }
  return { calls, work }
}

describe('a step with retries', () => {
  const retry = { maxAttempts: 4, backoff: { initial: 1, factor: 1 } }

  test('is tried until it succeeds', async () => {
    const { work } = failing(2)
    expect(await runStep('s', work, { retry }, () => running)).toBe(3)
  })

  test('fails with its last error when its tries are used up', async () => {
    const { work, calls } = failing(9)
    await expect(runStep('s', work, { retry }, () => running)).rejects.toThrow('not yet')
    expect(calls).toHaveLength(4)
  })

  test.each([new PermanentError('never'), new Defer('1m')])('is not tried again after %s', async (error) => {
    const { work, calls } = failing(9, error)
    await expect(runStep('s', work, { retry }, () => running)).rejects.toBe(error)
    expect(calls).toHaveLength(1)
  })

  test('has its timeout for each try', async () => {
    let tries = 0
    const work = () => (++tries < 3 ? new Promise<number>(() => undefined) : tries)
    expect(await runStep('s', work, { retry, timeout: 20 }, () => running)).toBe(3)
    await expect(runStep('s', () => new Promise(() => undefined), { timeout: 5 }, () => running)).rejects.toThrow(StepTimeoutError)
  })

  test('is not tried again once the run must stop, not even while it waits for its next try', async () => {
    const stop = new AbortController()
    const { work, calls } = failing(9)
    const tried = runStep('s', work, { retry: { maxAttempts: 100, backoff: { initial: '1h' } } }, () => stop.signal)
    setTimeout(() => {
      stop.abort(new Error('stopped'))
    }, 20)
    await expect(tried).rejects.toThrow()
    expect(calls).toHaveLength(1)
  })

  test.each([{ maxAttempts: 0 }, { maxAttempts: 1.5 }, { backoff: { factor: 0 } }, { backoff: { initial: -1 } }, { backoff: { max: 'never' as '1s' } }])(
    'and %j is refused',
    async (wrong) => {
      await expect(runStep('s', () => 1, { retry: wrong }, () => running)).rejects.toThrow(UsageError)
    },
  )
})
