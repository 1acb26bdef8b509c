import { describe, expect, test } from 'vitest'
import { type Duration, toMilliseconds } from '../../src/duration.js'
import { UsageError } from '../../src/errors.js'

describe('a duration is read', () => {
  test.each<[Duration, number]>([
    [0, 0],
    [250, 250],
    ['250ms', 250],
    ['1s', 1000],
    ['1.5s', 1500],
    ['10m', 600_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
    ['10 minutes', 600_000],
    ['100', 100],
  ])('%j is %d ms', (duration, milliseconds) => {
    expect(toMilliseconds(duration, 'it')).toBe(milliseconds)
  })

  test.each<[Duration, number]>([
    [0.4, 0],
    [1000.5, 1001],
    ['0.0015s', 2],
  ])('in whole milliseconds, as the database keeps them: %j is %d', (duration, milliseconds) => {
    expect(toMilliseconds(duration, 'it')).toBe(milliseconds)
  })
})

describe('what is no duration is refused with a UsageError that names it and what is allowed:', () => {
  test.each([-1, NaN, Infinity, -Infinity, '-1s', '', 'soon', '1 fortnight', '101y', null, undefined, {}, 10n])('%s', (duration) => {
    const read = () => toMilliseconds(duration as Duration, 'the delay')
    expect(read).toThrow(UsageError)
    expect(read).toThrow(/^the delay is '.*'; allowed are 0 to 100 years/)
  })
})
