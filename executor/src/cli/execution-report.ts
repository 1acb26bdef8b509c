// What `fw executions show` tells of one execution: read from the database, and written for people.
import type { Client } from '../client.js'
import { TooLargeError } from '../errors.js'
import type { ChildExecution, ExecutionDetails, ExecutionStep, FailedAttempt } from '../execution-details.js'
import { print } from './output.js'
import { counted, oneLine, span, table } from './table.js'

export interface ExecutionReport extends ExecutionDetails {
  /** In the order in which they were asked for. */
  steps: ExecutionStep[]
  /** The oldest first. */
  attempts: FailedAttempt[]
  children: ChildExecution[]
  /** Why there are no input, output and metadata; undefined when they are there. */
  leftOut: string | undefined
  /** Names of steps whose output is left out, because it is too large to be sent. */
  stepsLeftOut: string[]
}

const PAGE = 1000
/** More than that helps nobody on a screen; --json has them all. */
const MOST_STEPS = 50
const MOST_ATTEMPTS = 10
const MOST_CHILDREN = 20
const MOST_STACK_LINES = 6
const LONGEST_TEXT = 400

/** @throws UnknownExecutionError */
export async function readReport(client: Client, id: string): Promise<ExecutionReport> {
  const stepsLeftOut: string[] = []
  const { value: execution, tooLarge } = await orSmaller(() => client.get(id), () => client.get(id, { values: false }))
  const attempts = await pages((last: FailedAttempt | undefined, limit) => client.attempts(id, { limit, ...(last === undefined ? {} : { before: last.id }) }))
  const steps = await pages(async (last: ExecutionStep | undefined, limit) => {
    const options = { limit, ...(last === undefined ? {} : { after: last.name }) }
    if (limit > 1) return await client.steps(id, options)
    const { value, tooLarge: isLeftOut } = await orSmaller(() => client.steps(id, options), () => client.steps(id, { ...options, values: false }))
    if (isLeftOut !== undefined) stepsLeftOut.push(...value.map(({ name }) => name))
    return value
  })
  const children = await pages((last: ChildExecution | undefined, limit) => client.children(id, { limit, ...(last === undefined ? {} : { after: last.id }) }))
  return { ...execution, steps, attempts: attempts.reverse(), children, leftOut: tooLarge?.message, stepsLeftOut }
}

async function orSmaller<Value>(read: () => Promise<Value>, readSmaller: () => Promise<Value>): Promise<{ value: Value; tooLarge?: TooLargeError }> {
  try {
    return { value: await read() }
  } catch (error) {
    if (!(error instanceof TooLargeError)) throw error
    return { value: await readSmaller(), tooLarge: error }
  }
}

/** All pages, smaller ones where a page is too large to be sent. */
async function pages<Row>(page: (last: Row | undefined, limit: number) => Promise<Row[]>): Promise<Row[]> {
  const all: Row[] = []
  for (let limit = PAGE; ;) {
    try {
      const rows = await page(all.at(-1), limit)
      all.push(...rows)
      if (rows.length < limit) return all
      limit = Math.min(PAGE, limit * 2)
    } catch (error) {
      if (!(error instanceof TooLargeError) || limit === 1) throw error
      limit = Math.max(1, Math.floor(limit / 32))
    }
  }
}

/** @param now the database's time */
export function printReport(report: ExecutionReport, now: Date): void {
  const { id, workflow, version, waitsFor, steps, attempts, children, stepsLeftOut } = report
  print(`${oneLine(workflow, 100)}${version === null ? '' : `, version ${oneLine(version, 40)}`}  ${id}`)
  const facts = factsOf(report, now).filter(([, text]) => text !== undefined)
  const width = Math.max(...facts.map(([name]) => name.length))
  for (const [name, text = ''] of facts) print(`  ${name.padEnd(width)}  ${oneLine(text, LONGEST_TEXT)}`)
  section('Waits for', waitsFor, waitsFor.length, (wait) => [waitText(wait, now)])
  section('Failed attempts', attempts.slice(-MOST_ATTEMPTS), attempts.length, attemptLines)
  if (steps.length > 0) {
    const shown = shownSteps(steps)
    heading(`Steps (${steps.length})`)
    print(stepsTable(shown, now, new Set(stepsLeftOut)).replace(/^/gm, '  '))
    if (steps.length > shown.length) print(`  … and ${steps.length - shown.length} more (--json shows all)`)
  }
  if (children.length > 0) {
    heading(`Children (${children.length})`)
    print(childrenTable(children.slice(0, MOST_CHILDREN)).replace(/^/gm, '  '))
    if (children.length > MOST_CHILDREN) print(`  … and ${children.length - MOST_CHILDREN} more (--json shows all)`)
  }
}

function section<Row>(title: string, rows: readonly Row[], count: number, lines: (row: Row) => string[]): void {
  if (rows.length === 0) return
  heading(title)
  if (count > rows.length) print(`  … ${count - rows.length} before these (--json shows all)`)
  for (const row of rows) for (const line of lines(row)) print(`  ${line}`)
}

function heading(title: string): void {
  print('')
  print(title)
}

function factsOf(report: ExecutionReport, now: Date): [string, string | undefined][] {
  const { organizationId, attempt, maxAttempts, createdAt, startedAt, completedAt, deadlineAt, progress, progressText, parentId, parentStep } = report
  const took = completedAt === null || startedAt === null ? '' : `, after ${lasting(completedAt.getTime() - startedAt.getTime())}`
  return [
    ['state', stateText(report, now)],
    ['error', report.error === null ? undefined : `${report.errorCategory === null ? '' : `${report.errorCategory}: `}${report.error}`],
    ['organization', organizationId],
    ['attempt', `${attempt} of ${maxAttempts}`],
    ['created', time(createdAt)],
    ['started', startedAt === null ? undefined : time(startedAt)],
    ['ended', completedAt === null ? undefined : `${time(completedAt)}${took}`],
    ['deadline', deadlineAt === null || completedAt !== null ? undefined : `${time(deadlineAt)} (${distance(deadlineAt, now)})`],
    ['progress', progress === null ? undefined : `${Math.round(progress * 100)} %${progressText === null ? '' : `, ${progressText}`}`],
    ['parent', parentId === null ? undefined : `${parentId}, in its step '${parentStep ?? ''}'`],
    ['key', report.idempotencyKey ?? undefined],
    ['left out', report.leftOut === undefined ? undefined : `input, output and metadata: ${report.leftOut}`],
    ['input', report.leftOut === undefined ? JSON.stringify(report.input) : undefined],
    ['output', report.output === null || report.output === undefined ? undefined : JSON.stringify(report.output)],
    ['metadata', report.metadata === null || report.metadata === undefined ? undefined : JSON.stringify(report.metadata)],
  ]
}

/** What it is doing, or how it ended, in words. */
function stateText(report: ExecutionReport, now: Date): string {
  const { status, waitsFor, nextRetryAt, deadLetterId, discardedAt, currentStep, currentStepSince, executor } = report
  const undoing = report.compensating === null || report.compensating === undefined || report.completedAt !== null ? '' : '; what its steps have done is being undone'
  const letter = deadLetterId !== null ? `; its dead letter is ${deadLetterId}` : discardedAt !== null ? '; its dead letter was discarded' : ''
  if (report.parkedAt !== null) return `parked since ${time(report.parkedAt)}: ${report.parkedReason ?? ''}`
  switch (status) {
    case 'queued':
      return `queued: an executor will take it${undoing}`
    case 'running': {
      const step = currentStep === null || currentStepSince === null ? '' : ` in step '${currentStep}', for ${span((now.getTime() - currentStepSince.getTime()) / 1000)} now,`
      return `running${step} on ${executor ?? 'an executor'}${undoing}`
    }
    case 'waiting': {
      const [first] = waitsFor
      if (first === undefined) return `waiting${undoing}`
      return `waiting for ${waitsFor.length === 1 ? waitText(first, now) : `${counted(waitsFor.length, 'thing')}, listed below`}${undoing}`
    }
    case 'retry_pending':
      return `to be tried again${nextRetryAt === null ? '' : ` at ${time(nextRetryAt)} (${distance(nextRetryAt, now)})`}${undoing}`
    case 'completed':
      return 'completed'
    case 'failed':
      return `failed for good${letter}`
    case 'timed_out':
      return `timed out: it missed its deadline${letter}`
    case 'cancelled':
      return `cancelled${letter}`
  }
}

function waitText({ kind, name, until, eventKey, childId, childWorkflow, childStatus }: ExecutionStep, now: Date): string {
  const end = until === null ? '' : ` until ${time(until)} (${distance(until, now)})`
  if (eventKey !== null) return oneLine(`event '${eventKey}'${until === null ? ', without a limit' : end}`, LONGEST_TEXT)
  if (childId !== null) return oneLine(`child ${childId} of workflow '${childWorkflow ?? '?'}', which is ${childStatus ?? 'gone'}`, LONGEST_TEXT)
  return oneLine(kind === 'sleep' ? `a sleep${end}` : `'${name}'${end}`, LONGEST_TEXT)
}

function attemptLines({ attempt, failedAt, step, error, errorCategory, permanent, executor, outcome, stack }: FailedAttempt): string[] {
  const where = step === null ? 'outside of a step' : `in step '${step}'`
  const first = `attempt ${attempt}  ${time(failedAt)}  ${where}, on ${executor ?? 'an executor that is not known'}: ${outcome}${permanent ? ', permanent' : ''}`
  const frames = (stack ?? '').split('\n').filter((line) => line.trim() !== '')
  const shown = frames.slice(0, MOST_STACK_LINES).map((line) => `    ${indent(line)}${oneLine(line.trim(), 160)}`)
  if (frames.length > MOST_STACK_LINES) shown.push('    … (--json shows all)')
  return [oneLine(first, LONGEST_TEXT), `  ${oneLine(`${errorCategory ?? 'RUNTIME'}: ${error ?? ''}`, LONGEST_TEXT)}`, ...shown]
}

/** A frame of a stack stands below the line that it belongs to. */
function indent(line: string): string {
  return /^\s+at /.test(line) ? '  ' : ''
}

/** The first ones, and of the others those that failed: they say why. */
function shownSteps(steps: readonly ExecutionStep[]): ExecutionStep[] {
  const failed = steps.slice(MOST_STEPS).filter(({ status }) => status === 'failed')
  return [...steps.slice(0, MOST_STEPS), ...failed.slice(0, MOST_STEPS)]
}

function stepsTable(steps: readonly ExecutionStep[], now: Date, leftOut: ReadonlySet<string>): string {
  return table(
    [
      { title: 'STEP', value: (row) => oneLine(row.name, 50) },
      { title: 'KIND', value: (row) => row.kind },
      { title: 'STATUS', value: statusText },
      { title: 'ATTEMPT', value: (row) => row.attempt, align: 'right' },
      { title: 'STARTED', value: (row) => time(row.startedAt) },
      { title: 'TOOK', value: (row) => (row.durationMs === null ? '-' : lasting(row.durationMs)), align: 'right' },
      { title: 'RESULT', value: (row) => oneLine(leftOut.has(row.name) ? 'too large to be read at once' : resultText(row, now), 80) },
    ],
    steps,
  )
}

function statusText({ status, kind, until, completedAt }: ExecutionStep): string {
  if (status !== 'skipped') return status
  return kind === 'event' && until !== null && completedAt !== null && until <= completedAt ? 'timed out' : 'given up'
}

function resultText(step: ExecutionStep, now: Date): string {
  if (step.status === 'waiting') return waitText(step, now)
  if (step.error !== null) return step.error
  return step.output === null || step.output === undefined ? '-' : JSON.stringify(step.output)
}

function childrenTable(children: readonly ChildExecution[]): string {
  return table(
    [
      { title: 'CHILD', value: (row) => row.id },
      { title: 'STEP', value: (row) => oneLine(row.step ?? '-', 40) },
      { title: 'WORKFLOW', value: (row) => oneLine(row.workflow, 40) },
      { title: 'STATUS', value: (row) => row.status },
      { title: 'ATTEMPT', value: (row) => row.attempt, align: 'right' },
      { title: 'ERROR', value: (row) => oneLine(row.error ?? '-', 60) },
    ],
    children,
  )
}

/** In UTC, to the second. */
function time(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

function distance(at: Date, now: Date): string {
  const seconds = (at.getTime() - now.getTime()) / 1000
  return seconds < 0 ? `${span(-seconds)} ago` : `in ${span(seconds)}`
}

function lasting(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds} ms` : milliseconds < 10_000 ? `${(milliseconds / 1000).toFixed(1)}s` : span(milliseconds / 1000)
}
