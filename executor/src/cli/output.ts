// Where commands write: results to standard output, everything else to standard error; nothing that steers a terminal.
import { printable, printableJson } from '../printable.js'

/** A line of the result, or several. */
export function print(line: string): void {
  process.stdout.write(`${printable(line)}\n`)
}

/** The result as one line of JSON. */
export function printJson(value: unknown): void {
  process.stdout.write(`${printableJson(JSON.stringify(value))}\n`)
}

/** Something that the user should know beside the result. */
export function note(line: string): void {
  process.stderr.write(`${printable(line)}\n`)
}

/** How to call this program from where it was called: npm puts a package's programs on the path only within its scripts. */
export const FW = process.env['npm_command'] === undefined ? 'fw' : 'npx fw'

/** An organization for examples: any uuid will do. */
export const EXAMPLE_ORGANIZATION = '0199a2b4-1c00-7000-8000-00000000acde'

/** One shell word, in quotes where it needs them. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
