// The table for people: cases by systems, what failed, and the ratios.
import { systemNames } from '../systems/system.ts'
import { isReached, type Ratio } from './ratios.ts'
import type { Result } from './result.ts'

/** @param note what to know of the ratios, if anything */
export function table(results: readonly Result[], found: readonly Ratio[], note: string): string {
  const measured = results.filter(({ value }) => value !== null)
  const systems = systemNames.filter((name) => measured.some(({ system }) => system === name))
  const cases = [...new Map(measured.map((each) => [each.case, each.unit]))]
  const shared = cases.filter(([title]) => measured.some((each) => each.case === title && each.system !== systemNames[0]))
  const own = cases.filter((each) => !shared.includes(each))
  const cell = (title: string, system: string) => {
    const value = measured.find((each) => each.case === title && each.system === system)?.value
    return value === undefined || value === null ? '–' : shown(value)
  }
  const failures = results.filter(({ value }) => value === null)
  return [
    ...(shared.length === 0
      ? []
      : [columns([['', 'unit', ...systems], ...shared.map(([title, unit]) => [title, unit, ...systems.map((each) => cell(title, each))])])]),
    ...(own.length === 0
      ? []
      : [columns([[`only ${systemNames[0]}`, 'unit', ''], ...own.map(([title, unit]) => [title, unit, cell(title, systemNames[0])])])]),
    ...(failures.length === 0 ? [] : ['Could not be measured:\n' + failures.map((each) => `  ${each.system}: ${each.case}: ${each.error ?? ''}`).join('\n')]),
    ...(found.length === 0 ? [] : [columns([[`ratios (${note})`, '', 'limit', ''], ...found.map(ratioRow)])]),
  ].join('\n\n')
}

function ratioRow(ratio: Ratio): string[] {
  const { title, value, unit, limit } = ratio
  const reached = isReached(ratio)
  const text = limit === undefined ? '' : 'least' in limit ? `≥ ${limit.least}` : `≤ ${limit.most}`
  return [title, `${value.toFixed(2)} ${unit}`, text, reached === undefined ? '' : reached ? 'reached' : 'NOT REACHED']
}

/** Four digits are more than a measurement is good for. */
export function shown(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US')
  return value === 0 ? '0' : String(Number(value.toPrecision(3)))
}

/** The first column is aligned to the left, and so are texts; the others to the right. */
function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length))) ?? []
  const lines = rows.map((row) =>
    row.map((text, column) => (column < 2 && row.length > 4 || column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0))).join('  ').trimEnd(),
  )
  return [lines[0], '─'.repeat(Math.max(...lines.map((line) => line.length))), ...lines.slice(1)].join('\n')
}
