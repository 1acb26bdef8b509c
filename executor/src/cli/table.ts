// Texts for people: tables with aligned columns, and how long ago something was.
import { inOneLine } from '../printable.js'

export interface Column<Row> {
  title: string
  value: (row: Row) => string | number
  align?: 'right'
}

/** A line of titles and a line for each row. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => columns.map(({ value }) => oneLine(String(value(row)))))]
  const widths = columns.map((_, at) => Math.max(...cells.map((line) => line[at]?.length ?? 0)))
  return cells
    .map((line) =>
      line
        .map((cell, at) => (columns[at]?.align === 'right' ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** What came from elsewhere, in one line without what steers a terminal, and no longer than this. */
export function oneLine(text: string, longest = 200): string {
  const flat = inOneLine(text)
  return flat.length <= longest ? flat : `${flat.slice(0, longest - 1)}…`
}

const UNITS = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'm'],
] as const

/** A time span in its two largest units: 3s, 4m 12s, 2d 1h. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  const at = UNITS.findIndex(([length]) => whole >= length)
  const [length, unit] = UNITS[at] ?? [1, 's']
  if (length === 1) return `${whole}s`
  const [nextLength, nextUnit] = UNITS[at + 1] ?? [1, 's']
  const rest = Math.floor((whole % length) / nextLength)
  return `${Math.floor(whole / length)}${unit}${rest === 0 ? '' : ` ${rest}${nextUnit}`}`
}

/** How long before `now` (the database's) that was. */
export function ago(then: Date | null, now: Date): string {
  return then === null ? '-' : `${span((now.getTime() - then.getTime()) / 1000)} ago`
}

/** '1 dead letter', '2 dead letters'. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}
