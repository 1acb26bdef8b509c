import { expect, test } from 'vitest'
import { executorDatabase, gate, untilStatus } from '../support/executor.js'
import { flow } from './scene.js'

const database = executorDatabase()

test('an executor that stops makes no step run again whose error the handler has seen and goes on from', async () => {
  const organizationId = await database.organization()
  const runs = { failing: 0, slow: 0 }
  const begun = gate()
  const failed = gate()
  const beside = flow('beside', async (ctx) => {
    const [failing] = await Promise.all([
      ctx.step('failing', () => {
        throw new Error(`failure ${++runs.failing}`)
      }).catch((error: unknown) => {
        failed.open()
        return (error as Error).message
      }),
      ctx.step('slow', async ({ signal }) => {
        if (++runs.slow > 1) return
        begun.open()
        await new Promise<never>((_, reject) => {
          signal.addEventListener('abort', () => { reject(signal.reason as Error) })
        })
      }),
    ])
    return failing
  })
  const first = await database.start(beside)
  const id = await database.client.enqueue(beside, null, { organizationId })
  await Promise.all([begun.opened, failed.opened])
  await first.stop({ timeout: 0 })
  await untilStatus(database, id, 'queued')
  await database.start(beside)
  expect(await database.client.result(id)).toBe('failure 1')
  expect(runs).toEqual({ failing: 1, slow: 2 })
})
