import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { z } from 'zod'
import type { PermanentError } from '../../src/errors.js'
import type { Queryable } from '../../src/protocol.js'
import { Resumption } from '../../src/resumption.js'
import { Run } from '../../src/run.js'
import type { RunSupport } from '../../src/run-support.js'
import { workflow } from '../../src/workflow.js'
import { gate, until } from '../support/executor.js'

const idle = workflow({ name: 'idle', input: z.unknown() }, () => undefined)
const unused = (): never => {
  throw new Error('these runs are not run')
}
const support: RunSupport<Run> = { makeDurable: unused, noteCheckpoint: unused, beginWaits: unused, connect: unused, checkpoint: unused, stepFate: unused, recordCompensation: unused, noteProgress: unused, log: unused, resultsLimit: Infinity, describe: String, redact: String }

function run(organizationId: string = randomUUID()): Run {
  return new Run({ batchId: randomUUID(), organizationId, leaseMs: 30_000, executionId: randomUUID(), workflowName: 'idle', attempt: 1, input: null, steps: [], isResuming: true }, idle, support)
}

/** A database in which each execution has recorded one step, of so many characters; and what became of the runs, in words. */
function scene(sizes: Map<Run, number>, fail: (count: number) => Error | undefined = () => undefined, before: (runs: Run[]) => Promise<void> = () => Promise.resolve()) {
  const said: string[] = []
  const name = (one: Run) => `${[...sizes.keys()].indexOf(one)}`
  const byId = new Map([...sizes].map(([one, size]) => [one.claim.executionId, size]))
  let calls = 0
  const sql = {
    query: async (query: { text: string; values: [string, Buffer] }) => {
      calls++
      const ids = [...byId.keys()].filter((id) => query.values[1].includes(Buffer.from(id.replaceAll('-', ''), 'hex')))
        // In the order of the call.
        .sort((a, b) => query.values[1].indexOf(Buffer.from(a.replaceAll('-', ''), 'hex')) - query.values[1].indexOf(Buffer.from(b.replaceAll('-', ''), 'hex')))
      const error = fail(ids.length)
      if (error !== undefined) throw error
      await before([...sizes.keys()].filter((one) => ids.includes(one.claim.executionId)))
      return {
        rows: ids.flatMap((id, at) => [
          [at + 1, 'step', JSON.stringify({ name: 'keep', index: 0, output: 'x'.repeat(byId.get(id) ?? 0) })],
          [at + 1, 'last', null],
        ]),
      }
    },
  } as unknown as Queryable
  const resumption = new Resumption({
    sql, logger: pino({ level: 'silent' }), executorId: () => randomUUID(), memory: { large: 1000, most: 10_000 },
    onReady: (one) => said.push(`${name(one)} begins`),
    onRefused: (one, error: PermanentError) => said.push(`${name(one)} is refused: ${error.message}`),
    onLost: (one) => said.push(`${name(one)} is lost`),
    onLater: (one, delayMs) => said.push(`${name(one)} comes again in ${delayMs} ms`),
  })
  return { resumption, said, calls: () => calls }
}

test('what one claim brings is read in one call', async () => {
  const sizes = new Map(Array.from({ length: 50 }, () => [run(), 10]))
  const { resumption, said, calls } = scene(sizes)
  for (const one of sizes.keys()) resumption.add(one)
  await until('all begin', () => Promise.resolve(said.length === 50))
  expect(calls()).toBe(1)
})

test('large executions of one organization leave half of the memory to others, and small ones always begin', async () => {
  const greedy = randomUUID()
  const runs: [Run, number][] = [[run(greedy), 3000], [run(greedy), 3000], [run(), 3000], [run(greedy), 10], [run(), 9000]]
  const { resumption, said } = scene(new Map(runs))
  for (const [one] of runs) resumption.add(one)
  await until('all are decided', () => Promise.resolve(said.length === 5))
  expect(said).toEqual(['0 begins', '1 comes again in 5000 ms', '2 begins', '3 begins', '4 comes again in 5000 ms'])
  // Once the others are gone, even one that is larger than all the memory begins.
  for (const [one] of runs.slice(0, 4)) resumption.remove(one)
  const [last] = runs.at(-1) ?? []
  if (last !== undefined) resumption.add(last)
  await until('it begins', () => Promise.resolve(said.length === 6))
  expect(said.at(-1)).toBe('4 begins')
})

test('a call that fails for the data of one execution is made with fewer, until that one is refused alone', async () => {
  const sizes = new Map(Array.from({ length: 8 }, () => [run(), 10]))
  let isSick = true
  const { resumption, said } = scene(sizes, (count) => {
    // The first is at fault.
    if (!isSick) return undefined
    if (count === 1) isSick = false
    return Object.assign(new Error('sick'), { code: '22P05' })
  })
  for (const one of sizes.keys()) resumption.add(one)
  await until('all are decided', () => Promise.resolve(said.length === 8))
  expect(said).toEqual(['0 is refused: what was recorded could not be read: sick', ...Array.from({ length: 7 }, (_, n) => `${n + 1} begins`)])
})

test('an organization that has much to read keeps nobody else waiting, however long a call for it takes', async () => {
  const [hoarder, modest] = [randomUUID(), randomUUID()]
  const runs: [Run, number][] = [[run(hoarder), 200_000], [run(hoarder), 200_000], [run(modest), 10], [run(modest), 10]]
  const answer = gate()
  const [first, second] = runs.map(([one]) => one)
  const { resumption, said } = scene(new Map(runs), undefined, async (asked) => {
    if (second !== undefined && asked.includes(second)) await answer.opened
  })
  if (first !== undefined) resumption.add(first)
  await until('the first call shows that it has much', () => Promise.resolve(said.length === 1))
  for (const [one] of runs.slice(1)) resumption.add(one)
  await until('the others begin', () => Promise.resolve(said.length === 3))
  expect(said).toEqual(['0 begins', '2 begins', '3 begins'])
  answer.open()
  await until('it begins', () => Promise.resolve(said.length === 4))
})
