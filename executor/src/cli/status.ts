// `fw status`: what waits, runs and failed, for each organization; who runs it; and what needs a hand.
import type { Command } from 'commander'
import { wholeNumber } from './arguments.js'
import { addDatabaseOption, databaseUrl, type DatabaseOptions, withDatabase } from './database.js'
import { EXIT } from './exit-codes.js'
import { CommandFailure } from './failure.js'
import { print, printJson } from './output.js'
import { readStatus, type StatusReport } from './status-report.js'
import { ago, counted, oneLine, span, table } from './table.js'

interface StatusOptions extends DatabaseOptions {
  runs: number
  check?: boolean
  json?: boolean
}

/** More than that helps nobody on a screen; --json has them all. */
const LONGEST_LIST = 50

export function addStatusCommand(program: Command): void {
  addDatabaseOption(program.command('status'))
    .summary('what waits, runs and failed')
    .description('Shows what waits, runs and failed for each organization, the executors, and the last batches.')
    .option('--runs <number>', 'batches of the run history to show', wholeNumber(0, 10_000), 10)
    .option('--check', 'also check the invariants, which reads everything; exit code 1 when one is violated')
    .option('--json', 'print one JSON object')
    .action(async (options: StatusOptions) => {
      const report = await withDatabase(databaseUrl(options), (database) => readStatus(database, options.runs, options.check === true))
      if (options.json === true) printJson(report)
      else printReport(report)
      const violated = report.invariants?.filter(({ violations }) => violations > 0).length ?? 0
      if (violated > 0) throw new CommandFailure(EXIT.failed, `${counted(violated, 'invariant is', 'invariants are')} violated`)
    })
}

function printReport(report: StatusReport): void {
  printSection('Organizations', report.organizations, 'none has had work yet', () => organizationsTable(report))
  printSection('Executors', report.executors, 'none', () => executorsTable(report))
  printSection('Last batches', report.runs, 'none', () => runsTable(report))
  if (report.invariants !== undefined) printInvariants(report.invariants)
  printList(report.warnings, ({ message }) => `warning: ${oneLine(message, 1000)}`)
}

function printSection(title: string, rows: readonly unknown[], none: string, text: () => string): void {
  print(title)
  print(rows.length === 0 ? `  ${none}` : text().replace(/^/gm, '  '))
  if (rows.length > LONGEST_LIST) print(`  … and ${rows.length - LONGEST_LIST} more (--json shows all)`)
  print('')
}

function printList<Row>(rows: readonly Row[], line: (row: Row) => string): void {
  for (const row of rows.slice(0, LONGEST_LIST)) print(line(row))
  if (rows.length > LONGEST_LIST) print(`… and ${rows.length - LONGEST_LIST} more (--json shows all)`)
}

function organizationsTable({ organizations, at }: StatusReport): string {
  return table(
    [
      { title: 'ORGANIZATION', value: (row) => row.organizationId ?? '(none named)' },
      { title: 'WORKER', value: (row) => (row.enabled ? 'enabled' : 'disabled') },
      { title: 'WAITING', value: (row) => row.waiting, align: 'right' },
      { title: 'DELAYED', value: (row) => row.delayed, align: 'right' },
      { title: 'RUNNING', value: (row) => row.running, align: 'right' },
      { title: 'DEAD', value: (row) => row.deadLetters, align: 'right' },
      { title: 'LONGEST WAIT', value: (row) => (row.oldestWaitingSeconds === null ? '-' : span(row.oldestWaitingSeconds)) },
      { title: 'LAST BATCH', value: (row) => (row.lastRunAt === null ? '-' : `${ago(row.lastRunAt, at)} (${row.lastBatchSize ?? 0})`) },
    ],
    organizations.slice(0, LONGEST_LIST),
  )
}

function executorsTable({ executors, at }: StatusReport): string {
  return table(
    [
      { title: 'EXECUTOR', value: (row) => oneLine(row.name, 60) },
      { title: 'STATE', value: (row) => (row.live ? 'live' : 'gone') },
      { title: 'LAST SEEN', value: (row) => ago(row.lastSeenAt, at) },
      { title: 'WORKFLOWS', value: (row) => row.workflows.join(', ') },
    ],
    executors.slice(0, LONGEST_LIST),
  )
}

function runsTable({ runs, at }: StatusReport): string {
  return table(
    [
      { title: 'CLAIMED', value: (row) => ago(row.claimedAt, at) },
      { title: 'ORGANIZATION', value: (row) => row.organizationId },
      { title: 'EXECUTOR', value: (row) => oneLine(row.executor ?? '-', 40) },
      { title: 'SIZE', value: (row) => row.size, align: 'right' },
      { title: 'DONE', value: (row) => row.succeeded, align: 'right' },
      { title: 'FAILED', value: (row) => row.failed, align: 'right' },
      { title: 'DEAD', value: (row) => row.deadLettered, align: 'right' },
      { title: 'RELEASED', value: (row) => row.released, align: 'right' },
      { title: 'LOST', value: (row) => row.lost, align: 'right' },
      { title: 'OPEN', value: (row) => row.open, align: 'right' },
      { title: 'TOOK', value: (row) => (row.finishedAt === null ? stateOf(row, at) : span((row.finishedAt.getTime() - row.claimedAt.getTime()) / 1000)) },
    ],
    runs.slice(0, LONGEST_LIST),
  )
}

function stateOf({ leaseExpiresAt }: StatusReport['runs'][number], at: Date): string {
  return leaseExpiresAt > at ? 'running' : 'lease ran out'
}

function printInvariants(invariants: NonNullable<StatusReport['invariants']>): void {
  const violated = invariants.filter(({ violations }) => violations > 0)
  print('Invariants')
  if (violated.length === 0) print(`  all ${invariants.length} hold`)
  for (const { name, violations, detail } of violated) print(`  VIOLATED ${name}: ${violations}, ${oneLine(detail ?? '')}`)
  print('')
}
