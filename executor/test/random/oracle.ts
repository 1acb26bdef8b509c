// Says whether what happened to an execution, in all its runs, is what would have happened without any crash or wait.
//
// Each run of its handler has a log: what it asked, and what it saw, in this order. The rules:
//
// 1. One run is the last: it ended with what the database has as the execution's result. The model runs the same program in memory
//    and is given results in the order in which this run saw them. It must ask and see the same, line by line, and end the same. So
//    one order of events explains the result, and no branch got what belongs to another.
// 2. Whatever an earlier run decided durably stays. A step's function starts only when all that was seen before the step was asked for
//    is durable. So the log of each run, up to the last question whose side effect began, must be how the log of the last run begins.
//    Where the run ended by waiting, all of its log must be. Only an error that failed the attempt may be missing later: that step
//    runs again.
// 3. Every side effect, of whatever run, belongs to a question of the last run and has its argument. Each argument has a hash of all
//    that the branch had seen, so it is another one if any earlier result was another one.
// 4. A step whose result is durable does not run again. A transaction step's row is there once.
// 5. No wait is over before its time; no event comes to two waits of an execution; a child is started once.
// 6. Where nothing is left to chance, the result is that of the model in any other order as well.
//
// Of an execution that was cancelled no run is the last: there rules 2 and 3 hold with the run that has most that is durable.
import { type Entry, lineOf, type Run } from './journal.js'
import { Impossible, type Modelled, type Outcome, runModel, type Told } from './model.js'
import type { Input } from './play.js'
import { factsOf } from './program.js'
import { hash, kept, randomFrom, show } from './values.js'

/** An execution as the database has it. */
export interface Execution {
  readonly id: string
  readonly status: string
  /** As text; undefined at the top where there is none. */
  readonly output: string
  readonly error: string | null
  /** Arguments in the table that transaction steps write to, by operation. */
  readonly booked: ReadonlyMap<string, readonly string[]>
}

/** All that happened, by execution. */
export interface Happened {
  readonly executions: ReadonlyMap<string, Execution>
  readonly runs: ReadonlyMap<string, readonly Run[]>
  /** Ids of the executions that were started for an input. */
  readonly byTag: ReadonlyMap<string, readonly string[]>
}

/** What is wrong with an execution, in words; undefined if nothing is. */
export async function problemOf(id: string, happened: Happened): Promise<string | undefined> {
  const execution = happened.executions.get(id)
  const runs = happened.runs.get(id) ?? []
  if (execution === undefined) return 'the database does not know the execution'
  if (execution.status === 'cancelled') return problemWithCancelled(runs)
  if (execution.status !== 'completed' && execution.status !== 'failed') return `it is ${execution.status}: ${execution.error}`
  const ended = runs.filter(({ end }) => end !== undefined && (execution.status === 'completed'
    ? end.isError !== true && end.text === execution.output
    : end.isError === true && end.text === execution.error))
  if (ended.length === 0) return `no run ended as the execution did: ${execution.status} with ${execution.status === 'completed' ? execution.output : execution.error}`
  let problem: string | undefined
  // A run that lost its lease may have ended alike, but not with all that belongs to it.
  for (const last of ended.reverse()) {
    problem = await problemWith(last, runs, execution, happened)
    if (problem === undefined) return undefined
  }
  return problem
}

async function problemWith(last: Run, runs: readonly Run[], execution: Execution, happened: Happened): Promise<string | undefined> {
  return (
    (await problemWithModel(last, execution, happened)) ??
    problemWithRuns(last, last.log.map(lineOf), runs) ??
    problemWithEffects(last, runs, execution) ??
    problemWithWaits(last, runs) ??
    (await problemWithOtherOrders(last, execution, happened))
  )
}

function problemWithCancelled(runs: readonly Run[]): string | undefined {
  const lengths = runs.map((run, number) => durableLength(run, runs[number + 1]))
  const longest = runs[lengths.indexOf(Math.max(...lengths))]
  if (longest === undefined) return undefined
  const asked = questionsOf(longest)
  const odd = runs.flatMap(({ effects }) => effects).find(({ at = '', text = '' }) => asked.get(at)?.endsWith(` ${text}`) === false)
  const failed = failedSteps(runs)
  const expected = longest.log.filter(({ kind, at = '' }) => !(kind === 'fail' && failed.has(at))).map(lineOf)
  return problemWithRuns(longest, expected, runs) ?? (odd === undefined ? undefined : `${odd.at} was done with ${odd.text}, while ${asked.get(odd.at ?? '')} was asked for`)
}

/** What was asked, by operation. */
const questionsOf = ({ log }: Run): Map<string, string> => new Map(log.filter(({ kind }) => kind === 'ask').map(({ at = '', text = '' }) => [at, text]))

const toldOf = ({ at = '', kind, text = '' }: Entry): Told => ({ at, isError: kind === 'fail', text })

/** Rule 1. */
async function problemWithModel(last: Run, execution: Execution, happened: Happened): Promise<string | undefined> {
  const seen = last.log.filter(({ kind }) => kind === 'see' || kind === 'fail').map(toldOf)
  const told = new Map(seen.map((each) => [each.at, each]))
  const atOnce = new Set(last.log.filter(({ kind, text }) => kind === 'ask' && (text === 'now' || text === 'random' || text === 'uuid')).map(({ at }) => at))
  const order = seen.filter(({ at }) => !atOnce.has(at))
  let modelled: Modelled
  try {
    modelled = await runModel({
      executionId: execution.id, input: last.input, goesOn: true,
      next: () => order.shift(),
      told: (at) => told.get(at),
      child: (input) => Promise.resolve(childOf(input, happened)),
    })
  } catch (error) {
    if (error instanceof Impossible) return error.message
    throw error
  }
  const difference = differenceOf(modelled.log, last.log.map(lineOf))
  if (difference !== undefined) return `the last run is not as the model says (model first):\n${difference}`
  const expected = 'value' in modelled.outcome ? show(modelled.outcome.value) : modelled.outcome.error
  const actual = 'value' in modelled.outcome ? execution.output : execution.error
  return expected === actual ? undefined : `it ended with ${actual}, not with ${expected}`
}

function childOf(input: Input, { byTag, executions, runs }: Happened): Outcome {
  const ids = byTag.get(input.tag) ?? []
  if (ids.length > 1) throw new Impossible(`there are ${ids.length} children ${input.tag}`)
  const child = executions.get(ids[0] ?? '')
  if (child === undefined) throw new Impossible(`no child was started for ${input.tag}`)
  const started = runs.get(child.id)?.[0]?.input
  if (started !== undefined && show(started) !== show(kept(input))) throw new Impossible(`the child was started with ${show(started)}, not with ${show(kept(input))}`)
  if (child.status === 'failed') return { error: child.error ?? '' }
  if (child.status !== 'completed') throw new Impossible(`the child is ${child.status}`)
   
  return { value: child.output === 'undefined' ? undefined : JSON.parse(child.output) }
}

/** Rule 2. */
function problemWithRuns(last: Run, expected: readonly string[], runs: readonly Run[]): string | undefined {
  for (const [number, run] of runs.entries()) {
    if (run === last) continue
    const durable = run.log.slice(0, durableLength(run, runs[number + 1]))
    const failed = failedSteps(runs.slice(number))
    const lines: string[] = []
    for (const entry of durable) {
      const line = lineOf(entry)
      if (line === expected[lines.length] || entry.kind !== 'fail' || !failed.has(entry.at ?? '')) lines.push(line)
    }
    const difference = differenceOf(lines, expected.slice(0, lines.length))
    if (difference !== undefined) return `run ${number + 1} of ${runs.length} decided otherwise than the last one (it first):\n${difference}`
  }
  return undefined
}

/** How much of a run's log nothing may change any more. */
function durableLength(run: Run, next: Run | undefined): number {
  const begun = new Set(run.effects.map(({ at }) => at))
  const asked = run.log.findLastIndex(({ kind, at }) => kind === 'ask' && begun.has(at))
  // A lost lease and a failed attempt raise the attempt; a wait does not.
  const isWaiting = next?.attempt === run.attempt && run.end === undefined && !run.wasStopped && !run.wasLeft
  return isWaiting ? run.log.length : asked + 1
}

/**
 * The operations by whose errors attempts have failed: they run again, also where an earlier run had seen them fail and went on. Those
 * that the handler's error names, and those after whose failure it asked for nothing more.
 */
function failedSteps(runs: readonly Run[]): Set<string> {
  const failed = runs.filter(({ end }) => end?.isError === true)
  const named = failed.flatMap(({ end }) => [...(end?.text ?? '').matchAll(/(?:Flake|Trouble) of (\S+;)/g)].map(([, at]) => at ?? ''))
  const last = failed.flatMap(({ log }) => log.slice(log.findLastIndex(({ kind }) => kind === 'ask') + 1).filter(({ kind }) => kind === 'fail').map(({ at = '' }) => at))
  return new Set([...named, ...last])
}

/** Rules 3 and 4. */
function problemWithEffects(last: Run, runs: readonly Run[], { booked }: Execution): string | undefined {
  const asked = questionsOf(last)
  const durable = new Map<string, { since: number; attempt: number }>()
  for (const [number, run] of runs.entries()) {
    for (const { at = '', text, item, time } of run.effects) {
      const where = `run ${number + 1} of ${runs.length} did ${at}${item === undefined ? '' : ` item ${item}`}`
      const question = asked.get(at)
      if (question === undefined) return `${where} with ${text}, for which the last run never asked`
      if (question !== `step ${text}` && question !== `transaction ${text}` && question !== `map steps ${text}`) return `${where} with ${text}, while the last run asked for ${question}`
      const since = durable.get(at)
      if (since !== undefined && run.beganAt > since.since && run.attempt >= since.attempt) return `${where} at ${time}, though its result was durable before this run began`
    }
    const begun = new Map(run.effects.map(({ at, time }) => [at, time]))
    const length = durableLength(run, undefined)
    const until = begun.get(run.log[length - 1]?.at)
    if (until === undefined) continue
    for (const { kind, at = '' } of run.log.slice(0, length)) if (kind === 'see' && !durable.has(at)) durable.set(at, { since: until, attempt: run.attempt })
  }
  for (const [at, texts] of booked) {
    if (texts.length !== 1 || asked.get(at) !== `transaction ${texts[0]}`) return `${at} is booked as ${texts.join(' and ')}, while ${asked.get(at)} was asked for`
  }
  const unbooked = last.log.find(({ kind, at = '' }) => kind === 'see' && asked.get(at)?.startsWith('transaction') === true && !booked.has(at))
  return unbooked === undefined ? undefined : `${unbooked.at} is not booked`
}

/** Rule 5. */
function problemWithWaits(last: Run, runs: readonly Run[]): string | undefined {
  // When the wait began, at the earliest: an earlier run may have asked for it.
  const asked = new Map<string, number>()
  for (const { log } of runs) {
    for (const entry of log) if (entry.kind === 'ask') asked.set(lineOf(entry), Math.min(entry.time, asked.get(lineOf(entry)) ?? Infinity))
  }
  const questions = questionsOf(last)
  const received = new Map<string, string>()
  for (const { kind, at = '', text = '', time } of last.log) {
    const question = questions.get(at)
    if (kind !== 'see' || question === undefined) continue
    const since = asked.get(`ask ${at} ${question}`) ?? time
    const sleep = /^sleep (\d+)$/.exec(question)
    // The clocks are those of one machine, in whole milliseconds.
    if (sleep !== null && time - since < Number(sleep[1]) - 2) return `${at} slept ${time - since} ms instead of ${sleep[1]}`
    const until = /^sleep until (\d+)$/.exec(question)
    if (until !== null && time < Number(until[1]) - 2) return `${at} slept until ${time} instead of ${until[1]}`
    const event = /^event (\S+ \S+) /.exec(question)
    if (event === null) continue
    const payload = JSON.parse(text) as { key: string }
    if (payload.key !== event[1]) return `${at} waited for ${event[1]} and got ${text}`
    if (received.has(text)) return `${at} got the event ${text}, as ${received.get(text)} did`
    received.set(text, at)
  }
  return undefined
}

/** Rule 6. */
async function problemWithOtherOrders(last: Run, execution: Execution, happened: Happened): Promise<string | undefined> {
  if (factsOf(last.input.program).isChance || execution.status !== 'completed') return undefined
  for (const seed of [1, 2]) {
    const outcome = await uninterrupted(last.input, execution.id, happened, seed)
    const text = 'value' in outcome ? show(outcome.value) : outcome.error
    if (text !== execution.output) return `it ended with ${execution.output}, and without any crash or wait with ${text}`
  }
  return undefined
}

/** How the program ends in a run of the model that knows of the real one only what was recorded at once. */
async function uninterrupted(input: Input, id: string, happened: Happened, seed: number): Promise<Outcome> {
  const random = randomFrom(hash(input.tag) + seed)
  // Those that ended last: what the others saw may not have been durable.
  const runs = (happened.runs.get(id) ?? []).toSorted((one, other) => Number(one.end !== undefined) - Number(other.end !== undefined))
  const recorded = new Map(runs.flatMap(({ log }) => log).filter(({ kind }) => kind === 'see').map((entry) => [entry.at, toldOf(entry)]))
  const { outcome } = await runModel({
    executionId: id, input, goesOn: false,
    next: (pending) => {
      const at = pending[Math.floor(random() * pending.length)]
      return at === undefined ? undefined : { at, isError: false, text: '' }
    },
    // What was not asked for in the real run, because an error came first there, makes no difference to the result.
    told: (at) => recorded.get(at) ?? { at, isError: false, text: '0' },
    child: (childInput) => uninterrupted(childInput, happened.byTag.get(childInput.tag)?.[0] ?? '', happened, seed),
  })
  return outcome
}

/** The first line in which two logs differ, with what stands before it. */
export function differenceOf(one: readonly string[], other: readonly string[]): string | undefined {
  for (let at = 0; at < Math.max(one.length, other.length); at++) {
    if (one[at] === other[at]) continue
    const before = one.slice(0, at).map((line) => `      ${line}`)
    const after = (lines: readonly string[], sign: string) => lines.slice(at, at + 5).map((line) => `   ${sign}  ${line}`)
    return [...before, ...after(one, '-'), ...after(other, '+')].join('\n')
  }
  return undefined
}
