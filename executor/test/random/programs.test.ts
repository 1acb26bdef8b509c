// FW_RANDOM_PROGRAMS says how many (npm run test:random: ten thousand), FW_RANDOM_SEED replays those of a run.
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectInvariantsZero } from '../support/database.js'
import { executorDatabase } from '../support/executor.js'
import { Crowd } from './crowd.js'
import { storyOf } from './journal.js'
import { problemOf } from './oracle.js'
import { makeProgram, type Program, sizeOf, smaller } from './program.js'
import { randomFrom } from './values.js'

const database = executorDatabase()
const count = Number(process.env['FW_RANDOM_PROGRAMS'] ?? 300)
const firstSeed = Number(process.env['FW_RANDOM_SEED'] ?? Math.floor(Math.random() * 1e9))
const AT_ONCE = 500
const MOST_SHOWN = 3
const STORIES = path.join(tmpdir(), `random-programs-from-${firstSeed}.txt`)

beforeAll(async () => {
  await database.query('create table booked (execution_id uuid, at text, argument text)')
})

afterAll(() => expectInvariantsZero(database.pool))

interface Failing {
  program: Program
  problem: string
  /** All that its runs did, to be read. */
  story: string
}

/** Runs the programs, and returns those that did not end as they had to, with the reason. */
async function failingOf(crowd: Crowd, programs: readonly Program[]): Promise<Failing[]> {
  const { ids, happened } = await crowd.play(programs)
  const failing: Failing[] = []
  // Children as well: what they are told is a side effect of their parents.
  const roots = new Map(ids.map((id, at) => [id, programs[at]]))
  for (const id of happened.executions.keys()) {
    const problem = await problemOf(id, happened)
    const program = roots.get(id) ?? happened.runs.get(id)?.[0]?.input.program
    if (problem === undefined || program === undefined) continue
    failing.push({ program, problem: `execution ${id}: ${problem}`, story: storyOf(happened.runs.get(id) ?? []) })
  }
  return failing.sort((one, other) => sizeOf(one.program) - sizeOf(other.program))
}

/** The smallest program that is found to fail within a few rounds, each of many smaller ones at once. */
async function shrink(crowd: Crowd, failing: Failing): Promise<Failing> {
  let smallest = failing
  for (let round = 0; round < 8; round++) {
    const candidates = smaller(smallest.program).slice(0, 20)
    const [found] = await failingOf(crowd, candidates.flatMap((candidate) => Array.from({ length: 25 }, () => candidate)))
    if (found === undefined || sizeOf(found.program) >= sizeOf(smallest.program)) break
    smallest = found
  }
  return smallest
}

test(
  `${count} random programs, killed and waiting at random places, do and return what they do without; seeds from ${firstSeed}`,
  async () => {
    const crowd = new Crowd(database, randomFrom(firstSeed))
    try {
      for (let first = 0; first < count; first += AT_ONCE) {
        const programs = Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, at) => makeProgram(randomFrom(firstSeed + first + at)))
        const failing = await failingOf(crowd, programs)
        if (failing[0] === undefined) continue
        const smallest = process.env['FW_RANDOM_SHRINK'] === 'no' ? failing[0] : await shrink(crowd, failing[0])
        const shown = [smallest, ...failing.filter(({ problem }) => problem !== smallest.problem)].slice(0, MOST_SHOWN).map(({ program, problem }) => `${JSON.stringify(program)}\n${problem}`)
        writeFileSync(STORIES, failing.map(({ program, problem, story }) => `${JSON.stringify(program)}\n${problem}\n${story}`).join('\n\n'))
        expect.fail(`${failing.length} executions of the programs with seeds from ${firstSeed + first} went wrong; the smallest first, all that their runs did in ${STORIES}:\n\n${shown.join('\n\n')}`)
      }
      console.log(`${count} random programs from seed ${firstSeed}: ${crowd.runs} runs, ${crowd.kills} executors killed`)
    } finally {
      crowd.remove()
    }
  },
  3_600_000,
)
