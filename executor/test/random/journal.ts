// What the processes that run random programs write down, line by line, and how the lines are put together: by execution and run.
import { readFileSync } from 'node:fs'
import type { Input } from './play.js'

/** A line. */
export interface Entry {
  /**
   * begin and end: of a run of a handler; ask, see, fail, stop: of one of its operations; run: a side effect begins; leave: the
   * executor stops, and may hand the execution back.
   */
  readonly kind: 'begin' | 'ask' | 'see' | 'fail' | 'stop' | 'run' | 'leave' | 'end'
  readonly execution: string
  /** Of no two runs alike. */
  readonly run: string
  /** Milliseconds since 1970. */
  readonly time: number
  /** The operation: its branch, and its number in it. */
  readonly at?: string
  /** What was asked, seen or given, as text. */
  readonly text?: string
  readonly item?: number
  /** Of begin. */
  readonly attempt?: number
  readonly input?: Input
  /** Of end: the handler threw. */
  readonly isError?: boolean
}

export interface Run {
  readonly execution: string
  readonly attempt: number
  readonly input: Input
  readonly beganAt: number
  /**
   * What the handler asked and saw, in its order, until it threw, or was stopped, or waited. What it leaves running when it returns
   * goes on while a step is under way.
   */
  readonly log: Entry[]
  /** Also those that began after the handler had ended. */
  readonly effects: Entry[]
  /** Whether it was told that it is stopped: what came after says nothing. */
  wasStopped: boolean
  /** It may have been handed back, at no attempt. */
  wasLeft: boolean
  end: Entry | undefined
}

/** The runs of each execution, in the order in which they began. */
export function runsOf(files: readonly string[]): Map<string, Run[]> {
  const runs = new Map<string, Run>()
  for (const file of files) {
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      if (line !== '') add(runs, JSON.parse(line) as Entry)
    }
  }
  const found = new Map<string, Run[]>()
  for (const run of [...runs.values()].sort((one, other) => one.attempt - other.attempt || one.beganAt - other.beganAt)) {
    const those = found.get(run.execution)
    if (those === undefined) found.set(run.execution, [run])
    else those.push(run)
  }
  return found
}

function add(runs: Map<string, Run>, entry: Entry): void {
  const { kind, execution, run: id, time, attempt, input } = entry
  if (kind === 'begin') {
    if (attempt === undefined || input === undefined) throw new TypeError('a run begins without its input')
    runs.set(id, { execution, attempt, input, beganAt: time, log: [], effects: [], wasStopped: false, wasLeft: false, end: undefined })
    return
  }
  const run = runs.get(id)
  if (run === undefined) throw new TypeError(`run ${id} has not begun`)
  if (kind === 'run') run.effects.push(entry)
  else if (kind === 'leave') run.wasLeft = true
  else if (run.wasStopped || run.end?.isError === true) return
  else if (kind === 'stop') run.wasStopped = true
  else if (kind === 'end') run.end = entry
  else run.log.push(entry)
}

/** A line of a log, as text that is compared and shown. */
export const lineOf = ({ kind, at, text }: Entry): string => `${kind} ${at} ${text}`

/** All that the runs of an execution did, one after the other, for people. */
export function storyOf(runs: readonly Run[]): string {
  return runs.map((run, number) => {
    const events = [...run.log, ...run.effects, ...(run.end === undefined ? [] : [run.end])].sort((one, other) => one.time - other.time)
    const notes = `${run.wasStopped ? ', stopped' : ''}${run.wasLeft ? ', left' : ''}${run.end === undefined ? ', without an end' : ''}`
    return [`run ${number + 1}, attempt ${run.attempt}${notes}`, ...events.map((entry) => `    ${entry.time % 1_000_000} ${entry.kind} ${entry.at ?? ''} ${entry.item ?? ''} ${entry.text}`)].join('\n')
  }).join('\n')
}
