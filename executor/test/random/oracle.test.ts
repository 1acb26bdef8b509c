// The rules by which random programs are judged, on runs that are made by hand: each kind of wrong is noticed.
import { describe, expect, test } from 'vitest'
import type { Entry, Run } from './journal.js'
import { runModel } from './model.js'
import { type Execution, type Happened, problemOf } from './oracle.js'
import type { Input } from './play.js'
import type { Program } from './program.js'
import { show } from './values.js'

const ID = '00000000-0000-4000-8000-000000000001'

interface Scene {
  runs: Run[]
  execution: Execution
}

/** A run of the program in which the operation that was asked for first ends first (or last), each with its side effect. */
async function runOf(program: Program, attempt: number, isReversed = false): Promise<{ run: Run; output: string }> {
  const input: Input = { tag: 'program', carry: '1', returns: 'carry', program }
  const { log, outcome } = await runModel({
    executionId: ID, input, goesOn: true,
    next: (pending) => {
      const at = isReversed ? pending.at(-1) : pending[0]
      return at === undefined ? undefined : { at, isError: false, text: '' }
    },
    told: (at) => ({ at, isError: false, text: '1' }),
    child: () => Promise.reject(new Error('there are no children here')),
  })
  const output = 'value' in outcome ? show(outcome.value) : outcome.error
  const entries = log.map((line, place): Entry => {
    const [, kind, at, text] = /^(\S+) (\S+) (.*)$/.exec(line) ?? []
    return { kind: kind as Entry['kind'], execution: ID, run: String(attempt), time: attempt * 1000 + place * 10, at: at ?? '', text: text ?? '' }
  })
  const effects = entries.filter(({ kind, text = '' }) => kind === 'ask' && /^(step|transaction) /.test(text))
    .map((entry): Entry => ({ ...entry, kind: 'run', text: (entry.text ?? '').replace(/^\S+ /, '') }))
  const end: Entry = { kind: 'end', execution: ID, run: String(attempt), time: attempt * 1000 + 999, text: output }
  return { run: { execution: ID, attempt, input, beganAt: attempt * 1000, log: entries, effects, wasStopped: false, wasLeft: false, end }, output }
}

/** A first run that got as far as its last side effect, and the run that came to the end. */
async function sceneOf(program: Program, isReversed = false): Promise<Scene> {
  const first = await runOf(program, 1, isReversed)
  const last = await runOf(program, 2)
  const booked = new Map(last.run.log.filter(({ kind, text }) => kind === 'ask' && text?.startsWith('transaction ') === true)
    .map(({ at = '', text = '' }) => [at, [text.replace('transaction ', '')]]))
  // What completed in the first run does not run again.
  last.run.effects.splice(0)
  return { runs: [{ ...first.run, end: undefined, wasLeft: true }, last.run], execution: { id: ID, status: 'completed', output: last.output, error: null, booked } }
}

const problem = ({ runs, execution }: Scene) => {
  const happened: Happened = { executions: new Map([[ID, execution]]), runs: new Map([[ID, runs]]), byTag: new Map([['program', [ID]]]) }
  return problemOf(ID, happened)
}

const step = (ms = 0): Program => ({ kind: 'step', name: 'fetch', shape: 'object', ms })
const BESIDE: Program = { kind: 'sequence', parts: [{ kind: 'all', parts: [step(), step()] }, step()] }
const RACE: Program = { kind: 'sequence', parts: [{ kind: 'race', parts: [step(), step()] }, step()] }

/** Changes entries of the last run's log. */
function change(scene: Scene, to: (entry: Entry) => Entry): Scene {
  const [first, last] = scene.runs as [Run, Run]
  return { ...scene, runs: [first, { ...last, log: last.log.map(to) }] }
}

test('what is right is right', async () => {
  for (const program of [BESIDE, RACE, { kind: 'transaction', name: 'save', shape: 'text' } as const]) expect(await problem(await sceneOf(program))).toBeUndefined()
})

describe('it is wrong when', () => {
  test('two branches get each other\'s results', async () => {
    const scene = await sceneOf(BESIDE)
    const values = new Map(scene.runs[1]?.log.filter(({ kind }) => kind === 'see').map(({ at = '', text }) => [at, text]))
    const swapped = new Map([['p.0a:0;', 'p.0b:0;'], ['p.0b:0;', 'p.0a:0;']])
    const other = change(scene, (entry) => {
      const text = values.get(swapped.get(entry.at ?? '') ?? '')
      return entry.kind === 'see' && text !== undefined ? { ...entry, text } : entry
    })
    expect(await problem(other)).toContain('not as the model says')
  })

  test('the keys of a value come in another order', async () => {
    const other = change(await sceneOf(step()), (entry) => (entry.kind === 'see' ? { ...entry, text: (entry.text ?? '').replace(/^\{(.*),([^,]*)\}$/, '{$2,$1}') } : entry))
    expect(await problem(other)).toContain('not as the model says')
  })

  test('a later run decides a race otherwise than an earlier one, after which a side effect began', async () => {
    expect(await problem(await sceneOf(RACE, true))).toContain('decided otherwise')
  })

  test('a side effect has another argument', async () => {
    const scene = await sceneOf(BESIDE)
    scene.runs[0]?.effects.splice(0, 1, { ...scene.runs[0].effects[0], text: '{"by":"p.0b"}' } as Entry)
    expect(await problem(scene)).toContain('while the last run asked for')
  })

  test('a step runs again whose result is durable', async () => {
    const scene = await sceneOf(BESIDE)
    const done = scene.runs[0]?.effects[0]
    if (done === undefined) throw new Error('there is no side effect')
    scene.runs[1]?.effects.push({ ...done, time: 2500 })
    expect(await problem(scene)).toContain('was durable before')
  })

  test('a transaction step is booked twice, or not at all', async () => {
    const scene = await sceneOf({ kind: 'transaction', name: 'save', shape: 'text' })
    const [[at, texts] = ['', []]] = [...scene.execution.booked]
    expect(await problem({ ...scene, execution: { ...scene.execution, booked: new Map([[at, [...texts, ...texts]]]) } })).toContain('is booked as')
    expect(await problem({ ...scene, execution: { ...scene.execution, booked: new Map() } })).toContain('is not booked')
  })

  test('a sleep is shorter than it was asked for', async () => {
    expect(await problem(await sceneOf({ kind: 'sleep', ms: [5000], until: false }))).toContain('slept')
  })

  test('the result is not what the last run returned', async () => {
    const scene = await sceneOf(BESIDE)
    expect(await problem({ ...scene, execution: { ...scene.execution, output: '{"a":0}' } })).toContain('no run ended as the execution did')
  })
})
