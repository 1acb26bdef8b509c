import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, untilFinished } from '../support/executor.js'
import { pause } from './scene.js'

const database = executorDatabase()
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

test('a run that suspends leaves nothing in memory, however many there were', async () => {
  const organizationId = await database.organization({ concurrency: 100 })
  const waiting = workflow({ name: 'leaves nothing', input: z.object({ fill: z.string() }) }, async (ctx, { fill }) => {
    for (let wait = 0; wait < 5; wait++) await ctx.sleep(1)
    return fill.length
  })
  const executor = await database.start(waiting, { concurrency: 300 })
  const heaps: number[] = []
  for (let round = 0; round < 3; round++) {
    await database.client.enqueueMany(waiting, Array.from({ length: 400 }, (_, n) => ({ fill: String(n % 10).repeat(20_000) })), { organizationId })
    await untilFinished(database, 'leaves nothing', 60)
    // What has just been reported is let go a moment later.
    await pause(100)
    collect()
    await pause(50)
    collect()
    heaps.push(process.memoryUsage().heapUsed / 1e6)
  }
  expect(executor.stats.waiting).toBeGreaterThanOrEqual(6000)
  // 2,000 runs of a round hold 40 MB between them.
  const [warm = 0, , last = Infinity] = heaps
  expect(last - warm, `heaps of ${heaps.map(Math.round).join(', ')} MB`).toBeLessThan(20)
}, 120_000)
