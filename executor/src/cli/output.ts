// Where commands write: results to standard output, everything else to standard error.

/** A line of the result. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** The result as one line of JSON. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value))
}

/** Something that the user should know beside the result. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`)
}

/** How to call this program from where it was called: npm puts a package's programs on the path only within its scripts. */
export const FW = process.env['npm_command'] === undefined ? 'fw' : 'npx fw'

/** An organization for examples: any uuid will do. */
export const EXAMPLE_ORGANIZATION = '0199a2b4-1c00-7000-8000-00000000acde'

/** One shell word, in quotes where it needs them. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
