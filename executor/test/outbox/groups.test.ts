import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { LeaseLostError, PermanentError } from '../../src/errors.js'
import { Outbox } from '../../src/outbox.js'
import type { Checkpoint } from '../../src/protocol.js'
import { Run } from '../../src/run.js'
import type { RunSupport } from '../../src/run-support.js'
import { failedBy } from '../../src/thrown.js'
import { workflow } from '../../src/workflow.js'

const idle = workflow({ name: 'idle', input: z.object({}) }, () => undefined)
const unused = (): never => {
  throw new Error('these runs are not run')
}
const support: RunSupport<Run> = { makeDurable: unused, noteCheckpoint: unused, beginWaits: unused, connect: unused, checkpoint: unused, stepFate: unused, recordCompensation: unused, noteProgress: unused, log: unused, resultsLimit: Infinity, describe: String, redact: String }

const run = (...pending: string[]): Run => runOf(randomUUID(), ...pending)

function runOf(organizationId: string, ...pending: string[]): Run {
  const made = new Run(
    { batchId: randomUUID(), organizationId, leaseMs: 30_000, executionId: randomUUID(), workflowName: 'idle', attempt: 1, input: {}, steps: [] },
    idle,
    support,
  )
  made.pending = pending.map(step)
  return made
}

const step = (output: string): Checkpoint => ({ name: output, index: 0, output, durationMs: 1 })
const completed = (output = '1') => ({ kind: 'completed' as const, output })
const names = (items: readonly { checkpoints: Checkpoint[] }[]) => items.map(({ checkpoints }) => checkpoints.map(({ name }) => name))
const settled = async (promise: Promise<unknown>) =>
  Promise.race([promise.then(() => 'resolved', (error: unknown) => error), sleep(20).then(() => 'open')])
const lost = new LeaseLostError('x')
const failure = failedBy(new PermanentError('refused'))

describe('what a run says', () => {
  test('is taken together: its checkpoints and how it ended', () => {
    const outbox = new Outbox()
    const a = run('1', '2')
    outbox.end(a, completed())
    const [item] = outbox.take(10)
    expect(item).toMatchObject({ run: a, outcome: completed() })
    expect(names(item ? [item] : [])).toEqual([['1', '2']])
    expect(a.pending).toEqual([])
    expect(outbox.size).toBe(0)
  })

  test('waits a moment when it is a checkpoint alone, and not when somebody waits for it', async () => {
    const outbox = new Outbox()
    const [patient, hurried] = [run('1'), run('2')]
    expect(outbox.note(patient)).toBe(true)
    expect(outbox.note(patient)).toBe(false)
    outbox.note(hurried)
    void outbox.wait(hurried)
    expect(names(outbox.take(10))).toEqual([['2']])
    await sleep(40)
    expect(names(outbox.take(10))).toEqual([['1']])
  })

  test('is not taken while something of it is on its way', () => {
    const outbox = new Outbox()
    const a = run('1')
    outbox.end(a, completed())
    const [item] = outbox.take(10)
    a.pending = [step('2')]
    outbox.note(a)
    void outbox.wait(a)
    expect(outbox.take(10)).toEqual([])
    if (item !== undefined) outbox.arrived(item)
    expect(names(outbox.take(10))).toEqual([['2']])
  })

  test('is durable for those who wait only when it has arrived, also when it was on its way before they asked', async () => {
    const outbox = new Outbox()
    const a = run('1')
    outbox.note(a)
    const early = outbox.wait(a)
    const [item] = outbox.take(10)
    const late = outbox.wait(a)
    expect(outbox.holds(a)).toBe(true)
    expect([await settled(early), await settled(late)]).toEqual(['open', 'open'])
    if (item !== undefined) outbox.arrived(item)
    expect([await settled(early), await settled(late)]).toEqual(['resolved', 'resolved'])
    expect(outbox.holds(a)).toBe(false)
    expect(await settled(outbox.wait(a))).toBe('resolved')
  })

  test('keeps its order and those who wait when it was not accepted', async () => {
    const outbox = new Outbox()
    const a = run('1')
    outbox.note(a)
    const waiting = outbox.wait(a)
    const [item] = outbox.take(10)
    a.pending = [step('2')]
    outbox.end(a, completed())
    if (item !== undefined) outbox.putBack(item, false)
    expect(await settled(waiting)).toBe('open')
    const [again] = outbox.take(10)
    expect(names(again ? [again] : [])).toEqual([['1', '2']])
    expect(again?.outcome).toEqual(completed())
    if (again !== undefined) outbox.arrived(again)
    expect(await settled(waiting)).toBe('resolved')
  })
})

describe('how a run ended', () => {
  test('stands as it was said first, waiting or on its way', () => {
    const outbox = new Outbox()
    const [waiting, sent] = [run(), run()]
    outbox.end(sent, completed('1'))
    const [item] = outbox.take(10)
    outbox.end(waiting, completed('2'))
    for (const each of [waiting, sent]) outbox.end(each, { kind: 'stopped' })
    if (item !== undefined) outbox.putBack(item, false)
    expect(outbox.take(10).map(({ outcome }) => outcome)).toEqual([completed('2'), completed('1')])
    expect(outbox.size).toBe(0)
  })

  test('becomes a failure when an earlier step of it was refused', async () => {
    const outbox = new Outbox()
    const a = run('1')
    outbox.note(a)
    const waiting = outbox.wait(a)
    const [item] = outbox.take(10)
    outbox.end(a, completed())
    const error = new PermanentError('refused')
    if (item !== undefined) outbox.refused(item, error, failure)
    expect(await settled(waiting)).toBe(error)
    expect(outbox.take(10).map(({ outcome }) => outcome)).toEqual([failure])
  })
})

describe('a run that lost its lease', () => {
  test('is not sent, and those who wait are told, be it waiting or on its way', async () => {
    const outbox = new Outbox()
    const [waiting, sent] = [run('1'), run('2')]
    outbox.note(sent)
    const asked = [outbox.wait(sent)]
    const [item] = outbox.take(10)
    outbox.note(waiting)
    asked.push(outbox.wait(waiting))
    for (const each of [waiting, sent]) outbox.drop(each, lost)
    expect(await Promise.all(asked.map(settled))).toEqual([lost, lost])
    if (item !== undefined) outbox.putBack(item, false)
    for (const each of [waiting, sent]) {
      each.pending = [step('3')]
      expect(outbox.note(each)).toBe(false)
      outbox.end(each, completed())
    }
    expect(outbox.size).toBe(0)
    expect(outbox.take(10)).toEqual([])
  })
})

describe('a group', () => {
  test('has no more items than asked for, the first ones first', () => {
    const outbox = new Outbox()
    const runs = Array.from({ length: 5 }, (_, index) => run(String(index)))
    for (const each of runs) outbox.end(each, completed())
    expect(names(outbox.take(2))).toEqual([['0'], ['1']])
    expect(names(outbox.take(10))).toEqual([['2'], ['3'], ['4']])
  })

  test('ends where it is large enough, so that no message outgrows the protocol', () => {
    const outbox = new Outbox()
    const some = 'x'.repeat(200_000)
    for (let index = 0; index < 45; index++) outbox.end(index % 2 === 0 ? run() : run(some), index % 2 === 0 ? completed(some) : completed())
    expect([outbox.take(100), outbox.take(100), outbox.take(100), outbox.take(100)].map((group) => group.length)).toEqual([20, 20, 5, 0])
  })

  test('is of one item that goes alone, or of others', () => {
    const outbox = new Outbox()
    const runs = Array.from({ length: 4 }, (_, index) => run(String(index)))
    for (const each of runs) outbox.end(each, completed())
    for (const [index, item] of outbox.take(10).entries()) outbox.putBack(item, index % 2 === 1)
    const groups = [outbox.take(10), outbox.take(10), outbox.take(10), outbox.take(10)]
    expect(groups.map(names)).toEqual([[['0'], ['2']], [['1']], [['3']], []])
  })
})

describe('what could keep others waiting', () => {
  const large = 'x'.repeat(1_500_000)

  test('goes apart when it is large, one organization at a time, and in groups that end where they are large enough', () => {
    const outbox = new Outbox()
    const one = randomUUID()
    const small = run()
    outbox.end(small, completed())
    const runs = [runOf(one), runOf(randomUUID()), runOf(one), runOf(one), runOf(one)]
    for (const [index, each] of runs.entries()) {
      if (index % 2 === 0) outbox.end(each, completed(large))
      else {
        each.pending = [step(large)]
        outbox.end(each, completed())
      }
    }
    const place = (items: ReturnType<Outbox['take']>) => items.map((item) => runs.indexOf(item.run))
    expect(outbox.take(100).map((item) => item.run)).toEqual([small])
    expect(place(outbox.takeApart(100))).toEqual([0, 2, 3])
    expect(place(outbox.takeApart(100))).toEqual([1])
    expect(place(outbox.takeApart(100))).toEqual([4])
    expect(outbox.takeApart(100)).toEqual([])
  })

  test('goes apart when it makes many children, or begins many other waits', () => {
    const outbox = new Outbox()
    const [many, few] = [run(), run()]
    const wait = (index: number) => ({ name: `child ${index}`, index, asked: 'map' }) as never
    outbox.end(many, { kind: 'waiting', waits: Array.from({ length: 1000 }, (_, index) => wait(index)) })
    outbox.end(few, { kind: 'waiting', waits: [wait(0)] })
    expect(outbox.take(10).map((item) => item.run)).toEqual([few])
    expect(outbox.takeApart(10).map((item) => item.run)).toEqual([many])
  })

  test('goes apart, and not at once again, when the rows of its organization are locked; others go as ever', () => {
    const outbox = new Outbox()
    const locked = randomUUID()
    const [first, second, other] = [runOf(locked), runOf(locked), run()]
    outbox.end(first, completed())
    const [item] = outbox.take(10)
    const pauseMs = outbox.hindered(locked)
    if (item !== undefined) outbox.putBack(item, false)
    outbox.end(second, completed())
    outbox.end(other, completed())
    expect(outbox.take(10).map((each) => each.run)).toEqual([other])
    expect(outbox.takeApart(10)).toEqual([])
    // It pauses for longer the next time.
    expect(outbox.hindered(locked)).toBe(2 * pauseMs)
  })

  test('goes apart without a pause once a call has gone through', () => {
    const outbox = new Outbox()
    const locked = randomUUID()
    const [first, second] = [runOf(locked), runOf(locked)]
    outbox.end(first, completed())
    const [item] = outbox.take(10)
    outbox.hindered(locked)
    if (item !== undefined) outbox.arrived(item)
    outbox.end(second, completed())
    expect(outbox.take(10)).toEqual([])
    expect(outbox.takeApart(10).map((each) => each.run)).toEqual([second])
  })
})
