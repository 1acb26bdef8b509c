import type pg from 'pg'
import { expect, test } from 'vitest'
import { Jobs } from '../../src/jobs.js'

const silent = () => undefined
const logger = { debug: silent, info: silent, warn: silent, error: silent }

test('a job that could not do all in its time runs again at once, until there is no more to do', async () => {
  let left = 5
  let ran = 0
  const pool = {
    query: () => Promise.resolve({ rows: left > 0 ? [{ name: 'fw-retention', command: 'select 1' }] : [] }),
    connect: () => Promise.resolve({
      query: (text: string) => {
        if (text === 'commit') {
          left -= 1
          ran += 1
        }
        return Promise.resolve({ rows: [] })
      },
      release: silent,
    }),
  }
  const jobs = new Jobs({ pool: pool as unknown as pg.Pool, logger, executorId: () => 'x', name: 'x' })
  jobs.start()
  await jobs.stop()
  // It was told to stop before the first had run.
  expect(ran).toBe(0)
  const again = new Jobs({ pool: pool as unknown as pg.Pool, logger, executorId: () => 'x', name: 'x' })
  again.start()
  while (left > 0) await new Promise(setImmediate)
  await again.stop()
  expect(ran).toBe(5)
})
