// Reads the statements out of an admin guide, as its text has them.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

/**
 * The guides whose SQL is run: the project's own, and the specification that it follows, where FW_ADMIN_GUIDE says where
 * that lies.
 */
export const GUIDES = [
  fileURLToPath(new URL('../../../../docs/admin-guide.md', import.meta.url)),
  ...(process.env['FW_ADMIN_GUIDE'] === undefined ? [] : [process.env['FW_ADMIN_GUIDE']]),
]

/** The SQL blocks under a heading of a guide, each as its statements, in order. */
export async function guideBlocks(path: string, heading: string): Promise<string[][]> {
  const guide = await readFile(path, 'utf8')
  const sections = guide.split(/^#+ /m).filter((section) => section.startsWith(`${heading}\n`))
  return sections.flatMap((section) => [...section.matchAll(/^```sql.*\n([\s\S]*?)^```/gm)].map(([, block]) => statements(block ?? '')))
}

/** How many SQL blocks a whole guide has. */
export async function guideBlockCount(path: string): Promise<number> {
  const guide = await readFile(path, 'utf8')
  return [...guide.matchAll(/^```sql/gm)].length
}

/** Puts values where psql would: a variable of psql is replaced as text. */
export function withVariables(statement: string, variables: Readonly<Record<string, string>>): string {
  return statement.replaceAll(/(?<!:):([a-z_]+)/g, (written, name: string) => variables[name] ?? written)
}

// The guide has no semicolon inside a text or a comment.
function statements(block: string): string[] {
  return block
    .split(/(?<=;)/)
    .map((statement) => statement.trim())
    .filter((statement) => statement.replaceAll(/^--.*$/gm, '').trim() !== '')
}
