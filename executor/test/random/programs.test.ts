// FW_RANDOM_PROGRAMS says how many (npm run test:random: a thousand), FW_RANDOM_SEED replays those of a run.
import { afterAll, expect, test } from 'vitest'
import { expectInvariantsZero } from '../support/database.js'
import { executorDatabase } from '../support/executor.js'
import { interpreter, keysOf, makeProgram, predict, type Program, randomFrom } from './program.js'

const database = executorDatabase()
const count = Number(process.env['FW_RANDOM_PROGRAMS'] ?? 50)
const firstSeed = Number(process.env['FW_RANDOM_SEED'] ?? Math.floor(Math.random() * 1e9))
const AT_ONCE = 50

afterAll(() => expectInvariantsZero(database.pool))

/** Emits every event that the program may wait for, at random moments, more often than it can wait. */
async function emitFor(organizationId: string, program: Program, random: () => number): Promise<void> {
  for (const key of keysOf(program)) {
    await new Promise((resolve) => setTimeout(resolve, random() * 30))
    await database.client.emit(organizationId, key, key)
  }
}

async function check(seed: number, run: ReturnType<typeof interpreter>['run']): Promise<void> {
  const random = randomFrom(seed)
  const program = makeProgram(random)
  const expected = predict(program)
  const isCancelled = random() < 0.1
  const organizationId = await database.organization()
  const id = await database.client.enqueue(run, { program }, { organizationId })
  const emitted = emitFor(organizationId, program, random)
  if (isCancelled) {
    await new Promise((resolve) => setTimeout(resolve, random() * 60))
    await database.client.cancel(id, 'by chance')
  }
  await emitted
  let ending: unknown
  try {
    ending = { value: await database.client.result(id, { timeout: '2m' }) }
  } catch (error) {
    ending = error
  }
  const shown = `seed ${seed}: ${JSON.stringify(program)}`
  if (isCancelled && ending instanceof Error && 'status' in ending && ending.status === 'cancelled') return
  if ('value' in expected) expect(ending, shown).toEqual(expected)
  else {
    expect(ending, shown).toBeInstanceOf(Error)
    const message = (ending as Error).message
    expect(expected.errors.some((error) => message.endsWith(`: ${error}`)), `${shown} ended with ${message}, not with one of ${expected.errors.join(', ')}`).toBe(true)
  }
}

test(
  `${count} random programs end as the model says, seeds from ${firstSeed}`,
  async () => {
    const { workflows, run, effects } = interpreter()
    await database.start(workflows, { concurrency: 500 })
    await database.start(workflows, { concurrency: 500 })
    for (let first = 0; first < count; first += AT_ONCE) {
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, at) => check(firstSeed + first + at, run)))
    }
    // No executor died, so no step that completed ran again.
    const repeated = [...effects].filter(([, times]) => times > 1)
    expect(repeated).toEqual([])
  },
  1_200_000,
)
