// A report for people: a table by organization, and the reasons in the dead-letter queue.
import type { Numbers, Report } from './report.js'

const LINES = 15

export function printable({ total, organizations, reasons }: Report): string {
  const shown = organizations.slice(0, LINES)
  const others = organizations.slice(LINES)
  const lines = [
    row('organization', ['executions', 'completed', 'retried', 'dead-lettered', 'seconds']),
    ...shown.map((each) => line(each.name, each)),
    ...(others.length === 0 ? [] : [line(`${others.length} more`, sum(others))]),
    line(`${total.organizations} organizations`, total),
    '',
    `All had ended ${total.seconds.toFixed(1)} seconds after the first was enqueued.`,
    '',
    total.dead_lettered === 0 ? 'The dead-letter queue got nothing.' : 'In the dead-letter queue:',
    ...reasons.map(({ category, error, count, example }) => `  ${count} x ${category}: ${error}\n      such as: ${example}`),
  ]
  return lines.join('\n')
}

function line(name: string, { executions, completed, retried, dead_lettered: deadLettered, seconds }: Numbers): string {
  return row(name, [...[executions, completed, retried, deadLettered].map((count) => count.toLocaleString('en')), seconds.toFixed(1)])
}

function row(name: string, cells: string[]): string {
  return name.slice(0, 24).padEnd(24) + cells.map((cell) => cell.padStart(15)).join('')
}

/** Organizations are served side by side, so the seconds of several are those of the slowest. */
function sum(several: readonly Numbers[]): Numbers {
  return several.reduce((left, right) => ({
    executions: left.executions + right.executions,
    completed: left.completed + right.completed,
    dead_lettered: left.dead_lettered + right.dead_lettered,
    retried: left.retried + right.retried,
    seconds: Math.max(left.seconds, right.seconds),
  }))
}
