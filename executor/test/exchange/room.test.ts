import { setImmediate as turn } from 'node:timers/promises'
import type pg from 'pg'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { Exchange } from '../../src/exchange.js'

/** An exchange whose claims never come back. */
function scene(capacity: number) {
  let asked = 0
  const pool = {
    connect: () => {
      asked++
      return new Promise<never>(() => undefined)
    },
  } as unknown as pg.Pool
  const unused = (): never => {
    throw new Error('nothing comes back here')
  }
  const exchange = new Exchange({
    pool, logger: pino({ level: 'silent' }), capacity, lanes: 1, describe: String, executorId: () => '', onClaim: unused, onGone: unused, onClaims: unused, onUnknown: unused,
  })
  return { exchange, asked: () => asked }
}

test('there is no room for an offer while a claim on its way may fill it', async () => {
  const { exchange, asked } = scene(4)
  exchange.startClaiming()
  await turn()
  await turn()
  expect(asked()).toBe(1)
  expect(exchange.reserve(50)).toBe(0)
})

test('room that is kept for an offer is not claimed, until it is given back', async () => {
  const { exchange, asked } = scene(4)
  expect(exchange.reserve(50)).toBe(4)
  exchange.startClaiming()
  await turn()
  await turn()
  expect(asked()).toBe(0)
  exchange.unreserve(4)
  await turn()
  await turn()
  expect(asked()).toBe(1)
})
